/** The rules of the module that need no browser: what is said again, when, how quality steps, how Opus is spoken of. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Ledger } from "../../src/web/ledger.js";
import { Log } from "../../src/web/log.js";
import { Pace } from "../../src/web/pace.js";
import * as quality from "../../src/web/quality.js";
import { backOff } from "../../src/web/retry.js";
import { Detour } from "../../src/web/detour.js";
import { Stall } from "../../src/web/stall.js";
import { alike, hearOpus, sending } from "../../src/web/wishes.js";

/** @import { Peer } from "../../src/web/lanturn.js" */

const { allowance, audioBitrate, changed, codecNames, crowdStep, DEFAULT_QUALITY, LAST_STEP, ordered, presets, scaleDown } = quality;

test("attempts come after half a second at first and 15 s at most, at random in the upper half", () => {
  const range = (/** @type {number} */ attempt) => [backOff(attempt, 0), backOff(attempt, 1)];
  assert.deepEqual([0, 1, 2, 4, 5, 50].map(range), [
    [250, 500], [500, 1_000], [1_000, 2_000], [4_000, 8_000], [7_500, 15_000], [7_500, 15_000],
  ]);
});

test("a ledger says again what the box has not had, and nothing twice", () => {
  const ledger = new Ledger();
  for (const what of ["a", "b", "c", "d"]) ledger.enter({ what });
  assert.deepEqual(ledger.resumed(2), [{ what: "c", n: 3 }, { what: "d", n: 4 }]);
  // A pong says that all before its ping has come.
  ledger.pinged();
  ledger.enter({ what: "e" });
  ledger.ponged();
  assert.deepEqual(ledger.resumed(0), [{ what: "e", n: 5 }]);
  assert.deepEqual([{ n: 1 }, { n: 2 }, { n: 2 }, { n: 1 }, {}, { n: 3 }].map((each) => ledger.hears(each)), [true, true, false, false, true, true]);
});

test("a ledger keeps 128 messages, and then knows that it can't vouch for more until the box has had them", () => {
  const ledger = new Ledger();
  for (let i = 0; i < 128; i++) ledger.enter({});
  assert.equal(ledger.overflows, false);
  ledger.enter({});
  ledger.enter({});
  assert.equal(ledger.overflows, true);
  assert.equal(ledger.resumed(0).length, 128, "no more are kept");
  assert.deepEqual([ledger.resumed(129).length, ledger.overflows], [0, true]);
  ledger.pinged();
  ledger.ponged();
  assert.equal(ledger.overflows, false);
});

test("a preset takes the place of all settings but codecs, and one's own replace those they name", () => {
  const first = changed(DEFAULT_QUALITY, { camera: { codecs: ["video/VP9"] } });
  const second = changed(first, { camera: "saver" });
  assert.deepEqual(second.camera, { ...presets.saver, codecs: ["video/VP9"] });
  const third = changed(second, { camera: { frameRate: 20 }, audio: { music: true } });
  assert.deepEqual(third.camera, { ...presets.saver, codecs: ["video/VP9"], frameRate: 20 });
  assert.deepEqual(third.screen, presets.text);
  assert.equal(audioBitrate(third.audio), 192_000);
  assert.equal(audioBitrate(DEFAULT_QUALITY.audio), undefined);
});

test("a setting out of its range is refused in plain words", () => {
  const wrong = /** @type {[any, RegExp][]} */ ([
    [{ camera: "best" }, /no preset "best".*saver/],
    [{ camera: "toString" }, /no preset/],
    [{ camera: { width: 8 } }, /width can't be 8.*16 to 7680/],
    [{ camera: { frameRate: NaN } }, /frameRate/],
    [{ screen: { maxBitrate: "1" } }, /maxBitrate/],
    [{ screen: { contentHint: "music" } }, /contentHint.*"motion"/],
    [{ camera: { codecs: ["VP9"] } }, /video\/VP9/],
    [{ audio: { maxBitrate: 1_000_000 } }, /510000/],
    [{ audio: { dtx: 1 } }, /dtx is true or false/],
  ]);
  for (const [change, words] of wrong) assert.throws(() => changed(DEFAULT_QUALITY, change), { name: "RangeError", message: words });
});

test("each step leaves less, and a picture that is to stay sharp loses frames first", () => {
  const steps = [...Array(LAST_STEP + 1).keys()];
  for (const preset of Object.values(presets)) {
    const left = steps.map((step) => allowance(preset, step));
    assert.deepEqual(left[0], { maxBitrate: preset.maxBitrate, frameRate: preset.frameRate, scale: 1 });
    for (const [i, less] of left.slice(1).entries()) assert.ok(Number(less.maxBitrate) <= Number(left[i].maxBitrate));
    assert.ok(Number(left[LAST_STEP].maxBitrate) >= 30_000);
  }
  assert.deepEqual(allowance(presets.sharp, 1), { maxBitrate: 2_400_000, frameRate: 15, scale: 1 });
  assert.deepEqual(allowance(presets.smooth, 1), { maxBitrate: 3_600_000, frameRate: 60, scale: 1.5 });
  assert.equal(allowance({}, 0).maxBitrate, undefined);
  assert.ok(Number(allowance({}, 1).maxBitrate) > 0, "what nobody limited is limited once it has to be less");
});

test("the more are sent to, the less each gets", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5, 6, 7, 100].map(crowdStep), [0, 0, 0, 1, 1, 2, 2, 3, 3]);
});

test("a picture is not larger than was asked, held upright too", () => {
  assert.equal(scaleDown(presets.balanced, { width: 1920, height: 1080 }, 1), 1.5);
  assert.equal(scaleDown(presets.balanced, { width: 1080, height: 1920 }, 2), 3);
  assert.equal(scaleDown(presets.balanced, { width: 640, height: 480 }, 1), 1);
  assert.equal(scaleDown({}, { width: 640, height: 480 }, 2), 2);
});

test("codecs come in the order that was asked for, and none is lost", () => {
  const able = ["video/VP8", "video/rtx", "video/VP9", "video/H264", "video/VP9", "video/red"].map((mimeType, i) => ({ mimeType, i }));
  assert.deepEqual(ordered(able, ["video/vp9", "video/H264"]).map(({ i }) => i), [2, 4, 3, 0, 1, 5]);
  assert.deepEqual(codecNames(able), ["video/VP8", "video/VP9", "video/H264"]);
});

/** @param {Pace} pace @param {number} times @param {number | null} loss @param {string} [limitedBy] */
function observe(pace, times, loss, limitedBy = "none") {
  for (let i = 0; i < times; i++) pace.observe({ loss, limitedBy });
  return pace.step;
}

test("three bad seconds step down, ten good ones up, and what is not known does neither", () => {
  const pace = new Pace();
  assert.equal(observe(pace, 2, 0.2), 0);
  assert.equal(observe(pace, 1, 0), 0, "two in a row are not three");
  assert.equal(observe(pace, 3, 0.2), 1);
  assert.equal(pace.because, "loss");
  assert.equal(observe(pace, 20, null), 1);
  assert.equal(observe(pace, 20, 0.05), 1, "in between");
  assert.equal(observe(pace, 9, 0), 1);
  assert.equal(observe(pace, 1, 0), 0);
  assert.equal(pace.because, null);
  assert.equal(observe(pace, 3, null, "cpu"), 1);
  assert.equal(pace.because, "cpu");
  assert.equal(observe(pace, 100, 0.5), LAST_STEP);
});

test("a step up that was too early is not tried again so soon", () => {
  const pace = new Pace();
  observe(pace, 3, 0.2);
  observe(pace, 10, 0);
  assert.equal(observe(pace, 3, 0.2), 1);
  assert.equal(observe(pace, 19, 0), 1);
  assert.equal(observe(pace, 1, 0), 0);
});

const SDP = "m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\n";

test("the others' Opus is read as we want to send", () => {
  const wish = (/** @type {object} */ audio) => changed(DEFAULT_QUALITY, { audio });
  assert.match(sending(SDP, DEFAULT_QUALITY), /a=fmtp:111 minptime=10;useinbandfec=1;usedtx=0;stereo=0\r\n/);
  assert.match(sending(SDP, wish({ fec: false, dtx: true, music: true })), /a=fmtp:111 minptime=10;useinbandfec=0;usedtx=1;stereo=1\r\n/);
  assert.match(hearOpus(SDP), /a=fmtp:111 minptime=10;useinbandfec=1;stereo=1\r\n/);
  const bare = "m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 opus/48000/2\r\na=mid:0\r\n";
  assert.match(hearOpus(bare), /a=rtpmap:96 opus\/48000\/2\r\na=fmtp:96 stereo=1\r\na=mid:0\r\n/);
  assert.equal(hearOpus(hearOpus(bare)), hearOpus(bare));
  assert.equal(hearOpus("m=video 9 X 96\r\na=rtpmap:96 VP8/90000\r\n"), "m=video 9 X 96\r\na=rtpmap:96 VP8/90000\r\n");
});

test("the others' codecs are read in the order that we want, and keep their numbers", () => {
  const lines = ["a=rtpmap:96 VP8/90000", "a=rtpmap:97 rtx/90000", "a=rtpmap:98 VP9/90000", "a=rtpmap:45 AV1/90000", ""].join("\r\n");
  const video = (/** @type {string} */ payloads) => `m=video 9 UDP/TLS/RTP/SAVPF ${payloads}\r\n${lines}`;
  const plain = video("96 97 98 45");
  const wanted = changed(DEFAULT_QUALITY, { camera: { codecs: ["video/vp9"] }, screen: { codecs: ["video/AV1", "video/VP9"] } });
  assert.equal(sending(`v=0\r\n${plain}${plain}${plain}`, wanted), `v=0\r\n${video("98 96 97 45")}${video("45 98 96 97")}${plain}`);
  assert.equal(sending(plain, DEFAULT_QUALITY), plain);
  assert.equal(alike(wanted, DEFAULT_QUALITY), false);
  assert.equal(alike(changed(wanted, { camera: { width: 640 } }), wanted), true);
});

test("a log writes down named facts of events, no names, and a bounded number of lines", () => {
  const log = new Log();
  const peer = /** @type {Peer} */ (/** @type {unknown} */ ({ id: "4be0643f1d98573b", name: "Ben", role: "member" }));
  log.note("chat", { peer, text: "a secret" });
  log.note("invite", { peer, invite: "1700003600.viewer.abc", token: "t0ken" });
  log.note("error", { id: "bad-signal", text: "OperationError: a=ice-pwd:s3cret", fatal: false });
  log.note("away", { reason: "unreachable", retryIn: 400 });
  const text = log.text(["standing"]);
  assert.match(text, /\+0\.\ds away reason=unreachable retryIn=400/);
  assert.match(text, /invite 4be0\n/);
  assert.match(text, /error id=bad-signal text=OperationError\n/);
  assert.doesNotMatch(text, /secret|s3cret|Ben|viewer|t0ken|4be06/);
  for (let i = 0; i < 2_000; i++) log.note("state", { peer, state: "connected" });
  assert.ok(log.text([]).split("\n").length < 520);
});

test("where no packet comes for 5 s something is done, three times at most, until one comes again", () => {
  const stall = new Stall();
  let time = 0;
  /** When, in the next seconds, it was time. @param {number} seconds @param {(mid: string) => number} packets @param {string[]} mids */
  const dues = (seconds, packets, ...mids) =>
    Array.from({ length: seconds }, () => {
      time += 1;
      const all = mids.map((mid) => ({ type: "inbound-rtp", mid, packetsReceived: packets(mid) }));
      // Firefox has no report of what it never got a packet of.
      return stall.observe(mids, { at: time * 1_000, all: all.filter((each) => each.packetsReceived > 0), get: () => undefined }) && time;
    }).filter(Boolean);
  assert.deepEqual(dues(60, () => 0, "1"), [6, 16, 36]);
  assert.deepEqual(dues(20, () => time, "1"), []);
  assert.deepEqual(dues(6, () => 0, "1"), [86], "it is tried again once something has come");
  assert.deepEqual(dues(6, (mid) => (mid === "0" ? time : 7), "0", "1"), [92], "one section does not speak for another");
  assert.deepEqual(dues(20, () => 7), [], "nothing is awaited");
});

test("a call over TCP to the relay looks for UDP twice, if there is any to look for", () => {
  const path = (/** @type {string} */ transport, localType = "relay") =>
    /** @type {import("../../src/web/lanturn.js").Path} */ ({ kind: "relay", transport, localType });
  const looks = (/** @type {Detour} */ detour, /** @type {ReturnType<typeof path>} */ way, seconds = 60) =>
    Array.from({ length: seconds }, (_, second) => detour.observe(way) && second + 1).filter(Boolean);
  const both = { iceServers: [{ urls: "stun:box:3478" }, { urls: ["turn:box:3478?transport=udp", "turn:box:3478?transport=tcp"] }] };
  assert.deepEqual(looks(new Detour(both), path("tcp")), [3, 15]);
  assert.deepEqual(looks(new Detour(both), path("tls")), [3, 15]);
  assert.deepEqual(looks(new Detour(both), path("udp")), []);
  assert.deepEqual(looks(new Detour(both), path("tcp", "host")), []);
  assert.deepEqual(looks(new Detour({ iceServers: [{ urls: "turns:box:3478?transport=tcp" }] }), path("tls")), []);
  const detour = new Detour(both);
  assert.deepEqual(looks(detour, path("tcp"), 2), []);
  assert.deepEqual(looks(detour, path("udp"), 1), []);
  assert.deepEqual(looks(detour, path("tcp"), 2), []);
});
