/** What the module tells of a call: every second, of each one, the path in parts; and a report that gives nothing away. */

import assert from "node:assert/strict";
import { bothBrowsers } from "./support/both.js";
import { members } from "./support/member.js";

/** @import { RelayTransport } from "../../src/web/lanturn.js" */

const inEach = bothBrowsers();
const two = members(inEach, "Anna", "Ben");

two("figures come once a second, of both directions", async (room, anna, ben) => {
  await anna.enters(room);
  await anna.page.evaluate(() => {
    me.figures = [];
    me.room.addEventListener("stats", (/** @type {any} */ { detail: { stats } }) => me.figures.push(stats));
  });
  await ben.enters(room);
  for (const member of [anna, ben]) await member.page.evaluate(() => me.media.start("audio", "video"));
  for (const member of [anna, ben]) await member.watches();
  await anna.until("has the figures of five seconds", () => me.figures.filter((/** @type {any} */ each) => each.sent.camera?.bitrate > 0).length >= 5);
  const seen = await anna.page.evaluate(() => {
    const figures = me.figures.slice(-5);
    return {
      last: figures.at(-1),
      seconds: figures.slice(1).map((/** @type {any} */ { at }, /** @type {number} */ i) => (at - figures[i].at) / 1000),
      sum: figures.slice(1).reduce((/** @type {number} */ sum, /** @type {any} */ each, /** @type {number} */ i) => sum + (each.bitrateIn * (each.at - figures[i].at)) / 8000, 0),
      bytes: figures.at(-1).bytesReceived - figures[0].bytesReceived,
    };
  });
  for (const second of seen.seconds) assert.ok(second > 0.5 && second < 3, `${seen.seconds}`);
  assert.ok(Math.abs(seen.sum - seen.bytes) <= seen.bytes * 0.01, `${seen.sum} of ${seen.bytes} bytes are in the bitrates`);
  const { last } = seen;
  assert.equal(last.limitedBy === null, false);
  for (const way of ["sent", "received"]) {
    const { audio, camera, screen } = last[way];
    assert.ok(audio.bitrate > 0 && /^audio\/opus$/i.test(audio.codec), `${way}: ${JSON.stringify(audio)}`);
    assert.ok(camera.bitrate > 0 && camera.width > 0 && camera.frameRate > 0 && /^video\//.test(camera.codec), `${way}: ${JSON.stringify(camera)}`);
    assert.equal(screen, null);
  }
  for (const figure of ["roundTripTime", "jitter", "lossIn"]) {
    assert.ok(typeof last[figure] === "number" && last[figure] >= 0 && last[figure] < 0.5, `${figure} ${last[figure]}`);
  }
  assert.equal(last.path.kind, "direct");
  assert.match(last.path.remote, /:\d+$/);
});

for (const transport of /** @type {RelayTransport[]} */ (["udp", "tcp", "tls"])) {
  two(`a path by the relay over ${transport} is told in its parts`, async (room, anna, ben) => {
    await anna.enters(room, { iceTransportPolicy: "relay", relayTransport: transport });
    await ben.enters(room);
    for (const member of [anna, ben]) await member.until("has a path", () => me.other?.stats?.path);
    const path = await anna.page.evaluate(() => me.other.stats.path);
    assert.deepEqual([path.kind, path.transport, path.localType], ["relay", transport, "relay"]);
    // Firefox does not say by which server it has its relayed address.
    const box = new URL(await anna.page.evaluate(() => location.href)).host;
    if (anna.browser.kind === "chromium") assert.equal(path.relay.replace("127.0.0.1", "localhost"), box);
    assert.equal((await ben.page.evaluate(() => me.other.stats.path)).kind, "relay");
  });
}

two("a report for support tells what happened, and nothing that opens anything", async (room, anna, ben) => {
  await anna.page.evaluate(() => {
    me.secrets = [];
    const parse = JSON.parse;
    JSON.parse = (text, ...rest) => {
      const message = parse(text, ...rest);
      if (message?.resume?.token) me.secrets.push(message.resume.token);
      return message;
    };
  });
  await anna.enters(room, { name: "Anna Secret", pin: "PIN-47114711" });
  const { invite } = await anna.page.evaluate(() => me.room.invite({ role: "viewer" }));
  await ben.enters(room, { name: "Ben Secret", invite });
  await anna.page.evaluate(() => me.media.start("video"));
  await ben.watches();
  await anna.page.evaluate(() => me.room.setPin("PIN-08150815"));
  await anna.page.evaluate(() => me.room.say("words between us"));
  await ben.until("reads it", () => me.heard("chat").length === 1);
  await anna.until("has figures", () => me.other.stats?.sent.camera?.bitrate);
  const { report, secrets } = await anna.page.evaluate(() => {
    const { connection } = me.other;
    const described = (connection.localDescription.sdp + connection.remoteDescription.sdp).matchAll(/a=(?:ice-pwd|fingerprint):(.*)/g);
    const servers = me.room.configuration.iceServers.flatMap((/** @type {any} */ { username, credential }) => [username, credential]);
    return {
      report: me.room.report(),
      secrets: [...me.secrets, ...servers.filter(Boolean), ...[...described].map((match) => match[1].trim())],
    };
  });
  assert.ok(secrets.length >= 5, `${secrets}`);
  for (const secret of [...secrets, invite, "PIN-", "Secret", room, "words between"]) {
    assert.ok(!report.includes(secret), `the report has ${secret}:\n${report}`);
  }
  for (const fact of [/Mozilla\/5\.0/, /viewer connected/, /direct udp \S* \(\w+\) to \S*/, /camera width 1280\/1280\//, /s state .*state=connected/, /roundTripTime=/]) {
    assert.match(report, fact);
  }
});
