/** Quality is what was asked for, in the call that runs; it steps down by itself when it has to, and back up. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { bothBrowsers } from "./support/both.js";
import { Box } from "./support/box.js";
import { TestBrowser } from "./support/browsers.js";
import { LossyPath } from "./support/lossy.js";
import { Member, members } from "./support/member.js";

const inEach = bothBrowsers();
const two = members(inEach, "Anna", "Ben");

/** @param {Member} anna @param {object} change */
const ask = (anna, change) => anna.page.evaluate((change) => me.room.setQuality(change), change);
/** What was asked for, what is allowed and what is sent, by its name. @param {Member} anna */
const compared = (anna) => anna.until("has figures", () => me.other.stats && Object.fromEntries(
  me.other.stats.compared.map((/** @type {any} */ { of, what, asked, allowed, sent }) => [`${of} ${what}`, [asked, allowed, sent]]),
));

two("presets and one's own settings change what is sent, and never drop the call", async (room, anna, ben) => {
  await anna.enters(room);
  await ben.enters(room, { role: "viewer" });
  await anna.page.evaluate(() => me.media.start("video"));
  await ben.watches();
  await ask(anna, { camera: { width: 320, height: 180, frameRate: 10, maxBitrate: 100_000 } });
  await ben.until("sees a small picture", () => me.picture().width === 320 && me.picture().frameRate <= 12);
  await anna.until("sends no more than that", () => {
    const { bitrate, width } = me.other.stats.sent.camera;
    return width === 320 && bitrate > 0 && bitrate < 140_000;
  });
  const rows = await compared(anna);
  assert.deepEqual(rows["camera width"], [320, 320, 320]);
  assert.deepEqual(rows["camera maxBitrate"].slice(0, 2), [100_000, 100_000]);
  assert.ok(rows["camera frameRate"][2] <= 12, `${rows["camera frameRate"]}`);
  await ask(anna, { camera: "saver" });
  await ben.until("sees a larger one", () => me.picture().width === 640);
  const wrong = await anna.page.evaluate(() => me.room.setQuality({ camera: "best" }).catch((/** @type {Error} */ error) => error.name));
  assert.equal(wrong, "RangeError");
  assert.equal((await compared(anna))["camera width"][0], 640, "what was refused changes nothing");
  for (const member of [anna, ben]) assert.deepEqual(await member.broken(), []);
});

two("codecs come in the order asked for, in the call that runs", async (room, anna, ben) => {
  await anna.enters(room);
  await ben.enters(room);
  await anna.page.evaluate(() => me.media.start("video"));
  await ben.watches();
  const [first, other] = await anna.page.evaluate(() => {
    const known = me.codecs("video").filter((/** @type {string} */ name) => ["video/VP8", "video/VP9"].includes(name));
    return [me.other.stats?.sent.camera?.codec ?? known[0], known[1]];
  });
  const wanted = first === other ? "video/VP8" : other;
  await ask(anna, { camera: { codecs: [wanted] } });
  await ben.until(`sees ${wanted}`, (wanted) => me.picture()?.codec === wanted && me.picture().frameRate > 0, wanted);
  assert.deepEqual((await compared(anna))["camera codec"], [wanted, wanted, wanted]);
  await ask(anna, { camera: { codecs: [first] } });
  await ben.until(`sees ${first}`, (first) => me.picture()?.codec === first && me.picture().frameRate > 0, first);
  for (const member of [anna, ben]) assert.deepEqual(await member.broken(), []);
});

two("music is sent in stereo and at its own bitrate, and speech is not", async (room, anna, ben) => {
  await anna.enters(room);
  await ben.enters(room);
  await anna.page.evaluate(() => me.media.start("audio"));
  await anna.until("sends sound", () => me.other?.stats?.sent.audio);
  const stereo = () => anna.page.evaluate(() => me.other.connection.remoteDescription.sdp.match(/[ ;]stereo=(\d)/)?.[1]);
  assert.equal(await stereo(), "0");
  await ask(anna, { audio: { music: true } });
  await anna.until("sends in stereo", () => /[ ;]stereo=1/.test(me.other.connection.remoteDescription.sdp));
  await anna.until("reads what music is allowed", () => me.other.stats.compared.some((/** @type {any} */ { of, asked }) => of === "audio" && asked === 192_000));
  const limits = await anna.page.evaluate(() => me.other.connection.getSenders().map((/** @type {any} */ each) => each.getParameters().encodings?.[0]?.maxBitrate));
  assert.ok(limits.includes(192_000), `${limits}`);
  const { echoCancellation, noiseSuppression } = await anna.page.evaluate(() => me.media.track("audio").getSettings());
  assert.deepEqual({ echoCancellation, noiseSuppression }, { echoCancellation: false, noiseSuppression: false });
  assert.deepEqual(await ben.broken(), []);
});

// Without a sound card, Firefox plays nothing to Web Audio.
test("chromium: what is left of a stereo tone stays left", { timeout: 60_000 }, async () => {
  const box = await Box.start();
  const browser = await TestBrowser.launch("chromium", box.authority);
  const [anna, ben] = [await Member.open(browser, box.url, "Anna"), await Member.open(browser, box.url, "Ben")];
  try {
    await anna.page.evaluate(async () => {
      const sound = new AudioContext();
      await sound.resume();
      const tone = new OscillatorNode(sound, { frequency: 660 });
      const both = new ChannelMergerNode(sound, { numberOfInputs: 2 });
      const out = new MediaStreamAudioDestinationNode(sound, { channelCount: 2 });
      tone.connect(both, 0, 0);
      both.connect(out);
      tone.start();
      me.tone = out.stream;
    });
    await anna.enters("tone");
    await ben.enters("tone");
    await anna.page.evaluate(() => me.room.setStream(me.tone));
    await ben.until("hears", () => me.other.stream.getAudioTracks().length === 1);
    await ben.page.evaluate(async () => {
      // Chromium plays to Web Audio only what an element plays, too.
      me.player = Object.assign(new Audio(), { srcObject: me.other.stream, muted: true });
      await me.player.play();
      const sound = new AudioContext();
      await sound.resume();
      const split = new ChannelSplitterNode(sound, { numberOfOutputs: 2 });
      sound.createMediaStreamSource(me.other.stream).connect(split);
      const meters = [0, 1].map((i) => {
        const meter = new AnalyserNode(sound);
        split.connect(meter, i);
        return meter;
      });
      me.loudness = () => meters.map((meter) => {
        const samples = new Float32Array(meter.fftSize);
        meter.getFloatTimeDomainData(samples);
        return Math.sqrt(samples.reduce((sum, each) => sum + each * each, 0) / samples.length);
      });
    });
    await ben.until("hears it at both sides, or as one", () => me.loudness()[0] > 0.05);
    // Half the tone at each side: two channels as one are their mean.
    const [left] = await ben.page.evaluate(() => me.loudness());
    assert.ok(left < 0.5, `speech came as loud as ${left}`);
    await ask(anna, { audio: { music: true } });
    await ben.until("hears all of it at the left", () => me.loudness()[0] > 0.6 && me.loudness()[1] < me.loudness()[0] / 5);
    for (const member of [anna, ben]) await member.close();
  } finally {
    await browser.close();
    await box.stop();
  }
});

two("while nobody speaks, DTX sends next to nothing", async (room, anna, ben) => {
  await anna.enters(room);
  await ben.enters(room);
  await anna.page.evaluate(async () => {
    await me.media.start("audio");
    me.media.mute("audio", true);
  });
  await anna.until("sends sound", () => me.other?.stats?.sent.audio);
  const packets = () => anna.page.evaluate(async () => {
    let sum = 0;
    (await me.other.connection.getStats()).forEach((/** @type {any} */ entry) => (sum += entry.type === "outbound-rtp" ? entry.packetsSent : 0));
    return { sum, at: performance.now() };
  });
  const rate = async () => {
    const before = await packets();
    await anna.until("has sent for a second", (at) => performance.now() > at + 1_000, before.at);
    const after = await packets();
    return ((after.sum - before.sum) * 1000) / (after.at - before.at);
  };
  const always = await rate();
  await ask(anna, { audio: { dtx: true } });
  let quiet = always;
  for (let i = 0; i < 8 && quiet > always / 3; i++) quiet = await rate();
  assert.ok(always > 30 && quiet < always / 3, `${always} packets a second became ${quiet}`);
  assert.deepEqual(await ben.broken(), []);
});

inEach("what is lost on the way steps quality down, and up again", async (box, browser, kind) => {
  const path = await LossyPath.to(box);
  const [anna, ben] = [await Member.open(browser, box.url, "Anna"), await Member.open(browser, box.url, "Ben")];
  try {
    await path.lead(anna.page);
    await anna.enters(`${kind} loss`, { iceTransportPolicy: "relay", relayTransport: "udp" });
    await ben.enters(`${kind} loss`);
    // Small, so that a busy processor is no reason.
    await ask(anna, { camera: { width: 320, height: 180, frameRate: 10 } });
    await anna.page.evaluate(() => me.media.start("video"));
    await ben.watches();
    assert.equal(await anna.page.evaluate(() => me.other.step), 0);
    path.loss = 0.3;
    await anna.until("steps down", () => me.other.step > 0);
    const step = await anna.page.evaluate(() => ({ ...me.heard("step")[0], now: me.other.stepReason }));
    assert.deepEqual({ because: step.because, step: step.step, now: step.now }, { because: "loss", step: 1, now: "loss" });
    path.loss = 0;
    await anna.until("steps up again", () => me.other.step === 0 && me.other.stepReason === null);
    await ben.watches();
    await anna.close();
    await ben.close();
  } finally {
    for (const member of [anna, ben]) await member.page.close().catch(() => {});
    path.stop();
  }
});

members(inEach, "Anna", "Ben", "Chloe", "Dora")("the more there are, the less each gets, and too many are warned of", async (room, anna, ...others) => {
  await anna.enters(room, { crowd: 2 });
  // Small, so that a busy processor is no reason.
  await ask(anna, { camera: { width: 320, height: 180, frameRate: 10 } });
  await anna.page.evaluate(() => me.media.start("video"));
  for (const other of others) await other.enters(room, { role: "viewer" });
  await anna.until("is warned", () => me.room.crowded && me.heard("crowded").length === 1);
  assert.deepEqual(await anna.page.evaluate(() => me.heard("crowded")[0]), { type: "crowded", crowded: true, peers: 3, most: 2 });
  assert.deepEqual(await anna.page.evaluate(() => [...me.room.peers.values()].map(({ step, stepReason }) => [step, stepReason])),
    [[1, "peers"], [1, "peers"], [1, "peers"]]);
  const [ben, chloe] = others;
  await ben.until("gets a smaller picture", () => me.picture()?.width > 0 && me.picture().width < 300);
  await chloe.page.evaluate(() => me.room.leave());
  await anna.until("is told that they are fewer", () => !me.room.crowded && me.other.step === 0);
  await ben.until("gets a larger picture", () => me.picture()?.width === 320);
});

members(inEach, "Anna", "Ben", "Chloe")("who comes into a crowd hears of it", async (room, anna, ...others) => {
  for (const other of others) await other.enters(room);
  await anna.page.evaluate(() => me.media.start("video"));
  await anna.enters(room, { crowd: 1 });
  await anna.until("is warned", () => me.heard("crowded").length > 0);
  assert.deepEqual(await anna.page.evaluate(() => [me.room.crowded, me.heard("crowded")]), [true, [{ type: "crowded", crowded: true, peers: 2, most: 1 }]]);
});
