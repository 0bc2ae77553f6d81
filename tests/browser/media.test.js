/** Cameras, microphones and screens go on and off in calls that run, and nobody is asked for what they do not use. */

import assert from "node:assert/strict";
import { bothBrowsers } from "./support/both.js";
import { members } from "./support/member.js";

const inEach = bothBrowsers();
const two = members(inEach, "Anna", "Ben");

two("a camera goes on and off in a call that runs, and a viewer is asked for none", async (room, anna, ben) => {
  await ben.page.evaluate(() => {
    Object.assign(me, { asked: 0 });
    for (const way of /** @type {const} */ (["getUserMedia", "getDisplayMedia"])) {
      navigator.mediaDevices[way] = () => Promise.reject(new Error(`asked ${++me.asked}`));
    }
  });
  await anna.enters(room);
  await ben.enters(room, { role: "viewer" });
  await ben.until("has a call", () => me.other?.state === "connected");
  for (let i = 0; i < 2; i++) {
    await anna.page.evaluate(() => me.media.start("audio", "video"));
    await ben.until("has both", () => me.other.stream.getTracks().length === 2);
    await ben.watches();
    await anna.page.evaluate(() => me.media.stop("video"));
    await ben.until("hears only", () => me.other.stream.getTracks().map((/** @type {any} */ { kind }) => kind).join() === "audio");
    await anna.page.evaluate(() => me.media.stop("audio"));
    await ben.until("has nothing", () => me.other.stream.getTracks().length === 0);
  }
  assert.deepEqual(await ben.broken(), []);
  assert.equal(await ben.page.evaluate(() => me.asked), 0);
  const lights = await anna.page.evaluate(() => me.media.stream.getTracks().length);
  assert.equal(lights, 0, "what is off holds no device");
});

two("who is muted or hidden is told to the others, and silent", async (room, anna, ben) => {
  await anna.page.evaluate(() => me.media.mute("video", true));
  await anna.enters(room);
  // Both play to the same loudspeaker: what is cancelled there as an echo is all that one says.
  await anna.page.evaluate(() => me.room.setQuality({ audio: { music: true } }));
  await anna.page.evaluate(() => me.media.start("audio", "video"));
  await ben.enters(room);
  await ben.until("sees that Anna is hidden", () => me.other?.muted.video && !me.other.muted.audio);
  assert.equal(await anna.page.evaluate(() => me.media.track("video").enabled), false);
  const energy = () => ben.page.evaluate(async () => {
    let sum = 0;
    (await me.other.connection.getStats()).forEach((/** @type {any} */ entry) => (sum += entry.totalAudioEnergy ?? 0));
    return sum;
  });
  // Chromium counts what is played, as loud as it is.
  await ben.page.evaluate(() => {
    me.player = Object.assign(new Audio(), { srcObject: me.other.stream });
    return me.player.play();
  });
  await ben.until("hears Anna", async () => {
    let sum = 0;
    (await me.other.connection.getStats()).forEach((/** @type {any} */ entry) => (sum += entry.totalAudioEnergy ?? 0));
    return sum > 0;
  });
  await anna.page.evaluate(() => me.media.mute("audio", true));
  await ben.until("sees that Anna is muted", () => me.other.muted.audio);
  // What is on its way may still be heard.
  await ben.until("has another second's statistics", (at) => me.other.stats?.at > at, await ben.page.evaluate(() => performance.now() + 1_000));
  const before = await energy();
  await ben.until("has another second's statistics", (at) => me.other.stats?.at > at, await ben.page.evaluate(() => performance.now() + 1_000));
  assert.ok((await energy()) - before < 1e-6, "silence has no energy");
  await anna.page.evaluate(() => me.media.mute("audio", false));
  await ben.until("hears Anna again", () => !me.other.muted.audio);
});

two("a device that is chosen is used at once, and one that is gone is told of", async (room, anna, ben) => {
  await anna.enters(room);
  await ben.enters(room);
  await anna.page.evaluate(() => me.media.start("video"));
  await ben.watches();
  // Firefox names devices to a page that is looked at.
  await anna.page.bringToFront();
  const ids = await anna.page.evaluate(async () => (await me.media.devices()).video.map((/** @type {any} */ { deviceId }) => deviceId));
  const other = await anna.page.evaluate((ids) => ids.find((/** @type {string} */ id) => id !== me.media.deviceId("video")), ids);
  if (anna.browser.kind === "chromium") {
    await anna.page.evaluate((id) => me.media.use("video", id), other);
    assert.equal(await anna.page.evaluate(() => me.media.track("video").getSettings().deviceId), other);
  }
  const refused = await anna.page.evaluate(async () => {
    /** @type {string[]} */
    const why = [];
    me.media.addEventListener("refused", (/** @type {any} */ { detail }) => why.push(detail));
    await me.media.use("video", "no such device");
    return { why, on: me.media.track("video")?.readyState };
  });
  assert.deepEqual(refused, { why: ["missing"], on: "live" });
  await ben.watches();
  assert.deepEqual(await ben.broken(), []);
});

two("a screen with its sound comes beside the camera, from both at once", async (room, anna, ben) => {
  await anna.enters(room);
  await ben.enters(room);
  await anna.page.evaluate(() => me.media.start("audio", "video"));
  await ben.watches();
  // At the same moment, so that their offers cross.
  await Promise.all([anna.shares(), ben.shares()]);
  for (const member of [anna, ben]) {
    await member.watches("screen");
    const kinds = await member.page.evaluate(() => me.other.screen.getTracks().map((/** @type {any} */ { kind }) => kind).sort());
    assert.deepEqual(kinds, ["audio", "video"]);
  }
  const counts = () => Promise.all([anna, ben].map(({ page }) => page.evaluate(() => ({
    camera: me.other.stream.getTracks().length,
    sections: me.other.connection.getTransceivers().filter((/** @type {any} */ each) => each.direction !== "stopped").length,
  }))));
  const before = await counts();
  assert.deepEqual(before.map(({ sections }) => sections), [4, 4]);
  assert.deepEqual(before.map(({ camera }) => camera), [0, 2]);
  const hint = await anna.page.evaluate(() => me.media.screen.getVideoTracks()[0].contentHint);
  assert.equal(hint, "text");
  await anna.page.evaluate(() => me.media.unshare());
  await ben.until("sees no screen", () => me.other.screen.getTracks().length === 0 && me.other.stream.getTracks().length === 2);
  await anna.shares();
  await ben.watches("screen");
  assert.deepEqual((await counts()).map(({ sections }) => sections), [4, 4], "the sections are used again");
  for (const member of [anna, ben]) assert.deepEqual(await member.broken(), []);
});

two("who comes later sees camera and screen as what they are", async (room, anna, ben) => {
  await anna.enters(room);
  await anna.page.evaluate(() => me.media.start("video"));
  await anna.shares();
  await ben.enters(room, { role: "viewer" });
  await ben.watches("screen");
  await ben.watches("camera");
  assert.equal((await ben.page.evaluate(() => me.picture("screen"))).width, 640);
});

two("a screen that is chosen too late is shown to nobody", async (room, anna, ben) => {
  await anna.enters(room);
  await ben.enters(room);
  const late = await anna.page.evaluate(async () => {
    const picks = /** @type {((stream: MediaStream) => void)[]} */ ([]);
    navigator.mediaDevices.getDisplayMedia = () => new Promise((resolve) => picks.push(resolve));
    const picture = () => document.createElement("canvas").captureStream(5);
    const [first, second, third] = [picture(), picture(), picture()];
    const shares = [me.media.share(), me.media.share()];
    picks[1](second);
    await shares[1];
    picks[0](first);
    await shares[0];
    const shown = me.media.screen.getTracks()[0] === second.getTracks()[0];
    const share = me.media.share();
    me.media.unshare();
    picks[2](third);
    return {
      told: [...(await Promise.all(shares)), await share],
      shown,
      left: me.media.screen.getTracks().length,
      live: [first, second, third].map((stream) => stream.getTracks()[0].readyState),
    };
  });
  assert.deepEqual(late, { told: [false, true, false], shown: true, left: 0, live: ["ended", "ended", "ended"] });
});

two("of devices that are chosen in a row the last is used", async (room, anna, ben) => {
  await anna.enters(room);
  await ben.enters(room);
  await anna.page.evaluate(() => me.media.start("video"));
  await ben.watches();
  await anna.page.bringToFront();
  const { chosen, used, opened } = await anna.page.evaluate(async () => {
    const { video } = await me.media.devices();
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    let opened = 0;
    navigator.mediaDevices.getUserMedia = async (wishes) => {
      opened += 1;
      return ask(wishes);
    };
    const row = ["", ...video.map((/** @type {MediaDeviceInfo} */ { deviceId }) => deviceId)];
    await Promise.all(row.map((id) => me.media.use("video", id)));
    return { chosen: row.at(-1), used: me.media.deviceId("video"), opened };
  });
  assert.equal(used, chosen);
  assert.ok(opened <= 1, `${opened} were opened for one that is used`);
  await ben.watches();
});

two("a camera that was denied before takes no microphone with it", async (room, anna, ben) => {
  await anna.enters(room);
  await ben.enters(room);
  const seen = await anna.page.evaluate(async () => {
    const denied = new Set(["camera"]);
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wishes) => {
      const kept = (wishes?.video && denied.has("camera")) || (wishes?.audio && denied.has("microphone"));
      if (kept) throw new DOMException("Permission denied", "NotAllowedError");
      return ask(wishes);
    };
    navigator.permissions.query = async ({ name }) => /** @type {any} */ ({ state: denied.has(name) ? "denied" : "granted" });
    /** @type {string[]} */
    const why = [];
    me.media.addEventListener("refused", (/** @type {any} */ { detail }) => why.push(detail));
    await me.media.start("audio", "video");
    const kinds = me.media.stream.getTracks().map((/** @type {MediaStreamTrack} */ { kind }) => kind);
    me.media.stop("audio");
    denied.add("microphone");
    await me.media.start("audio", "video");
    return { kinds, why, then: me.media.stream.getTracks().length };
  });
  assert.deepEqual(seen, { kinds: ["audio"], why: ["denied", "denied"], then: 0 });
});
