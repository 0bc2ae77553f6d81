/** What the module does when the network changes, falls silent or delivers late, and when credentials are renewed. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { bothBrowsers } from "./support/both.js";
import { Box } from "./support/box.js";
import { KINDS, TestBrowser } from "./support/browsers.js";
import { Member, members } from "./support/member.js";
import { explained } from "./support/tab.js";
import { Wire } from "./support/wire.js";

/** @import { Story } from "./support/both.js" */
/** @import { Kind } from "./support/browsers.js" */

const CASE = { timeout: 60_000 };
const inEach = bothBrowsers();
const two = members(inEach, "Anna", "Ben");

/** A box whose credentials end soon, and that waits long for a first word. @type {Box} */
let hasty;
/** @type {Partial<Record<Kind, TestBrowser>>} */
const browsers = {};

before(async () => {
  hasty = await Box.start({ env: { LANTURN__CREDENTIALS__TTL: "8s", LANTURN__ROOMS__HELLO_DEADLINE: "30s" } });
  for (const kind of KINDS) browsers[kind] = await TestBrowser.launch(kind, hasty.authority);
}, { timeout: 120_000 });

after(async () => {
  for (const browser of Object.values(browsers)) await browser.close();
  await hasty?.stop();
});

/** As `inEach`, at that box. @type {(what: string, story: Story) => void} */
const inEachAtHasty = (what, story) => {
  for (const kind of KINDS) {
    test(`${kind}: ${what}`, CASE, () => story(hasty, /** @type {TestBrowser} */ (browsers[kind]), kind));
  }
};

/**
 * Anna, and Ben at the end of a wire, both in the room.
 * @param {string} what @param {(anna: Member, ben: Member, wire: Wire) => Promise<void>} story @param {object} [options] of `join`
 * @param {(what: string, story: Story) => void} [each] at which box
 */
function wired(what, story, options = {}, each = inEach) {
  each(what, async (box, browser, kind) => {
    const wire = await Wire.to(box);
    const [anna, ben] = [await Member.open(browser, box.url, "Anna"), await Member.open(browser, wire.url, "Ben")];
    // Browsers complain about a connection that is cut.
    ben.forgiven = /wss:|ERR_|NetworkError/;
    try {
      const room = `${kind} ${what}`.slice(0, 60);
      await anna.enters(room, options);
      await ben.enters(room, options);
      await anna.until("sees Ben", () => me.other);
      await story(anna, ben, wire);
      await anna.close();
      await ben.close();
    } catch (error) {
      throw await explained(error, box, anna, ben);
    } finally {
      for (const member of [anna, ben]) await member.page.close().catch(() => {});
      wire.stop();
    }
  });
}

two("a call gets a new path when the network changes, and goes on meanwhile", async (room, anna, ben) => {
  await anna.enters(room);
  await ben.enters(room);
  await anna.page.evaluate(() => me.media.start("video"));
  await ben.watches();
  const ufrags = () => ben.page.evaluate(() => {
    const { localDescription, remoteDescription } = me.other.connection;
    return [localDescription, remoteDescription].map(({ sdp }) => sdp.match(/a=ice-ufrag:(\S+)/)[1]);
  });
  const old = await ufrags();
  await ben.page.evaluate(() => dispatchEvent(new Event("online")));
  await ben.until("has another ICE session at both ends", (old) => {
    const { connection } = me.other;
    const now = [connection.localDescription, connection.remoteDescription].map(({ sdp }) => sdp.match(/a=ice-ufrag:(\S+)/)[1]);
    return connection.signalingState === "stable" && now.every((each, i) => each !== old[i]);
  }, old);
  await ben.watches();
  for (const member of [anna, ben]) assert.deepEqual(await member.broken(), []);
});

wired("a connection over which nothing comes is given up within its time, unasked", async (_, ben, wire) => {
  await ben.until("has a call", () => me.other?.state === "connected");
  wire.deafen();
  const since = Date.now();
  await ben.until("is away", () => me.heard("away").length > 0);
  const waited = (Date.now() - since) / 1000;
  assert.ok(waited > 5 && waited < 10, `it took ${waited} s`);
  assert.equal(await ben.page.evaluate(() => me.heard("away")[0].reason), "timeout");
  wire.cut();
  await ben.until("is back", () => me.heard("back").length > 0);
});

wired("a resumption that was given up and comes late takes nothing from the newer one", async (anna, ben, wire) => {
  await ben.page.evaluate(() => {
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (/** @type {any} */ text) {
      if (me.late || JSON.parse(text).type !== "resume") return send.call(this, text);
      // As on a path that holds a packet back for longer than we wait.
      me.late = () => {
        send.call(this, text);
        return new Promise((resolve) => {
          this.addEventListener("message", ({ data }) => resolve(JSON.parse(data).id));
          this.addEventListener("close", () => resolve("closed"));
        });
      };
    };
  });
  wire.cut();
  await ben.until("is back", () => me.heard("back").length > 0);
  assert.equal(await ben.page.evaluate(() => me.late()), "replaced");
  await anna.page.evaluate(() => me.room.say("still here?"));
  await ben.until("hears Anna by the box", () => me.heard("chat").length > 0);
  assert.deepEqual(await ben.page.evaluate(() => [me.room.connected, me.heard("away").length, me.heard("closed").length]), [true, 2, 0]);
  assert.equal(await anna.page.evaluate(() => me.heard("peer-left").length), 0);
}, { role: "viewer" }, inEachAtHasty);

wired("whoever has too much to say again joins anew, and meets each once", async (anna, ben, wire) => {
  wire.deafen();
  await ben.page.evaluate(() => dispatchEvent(new Event("online")));
  await ben.until("is away", () => me.heard("away").length > 0);
  await ben.page.evaluate(() => {
    for (let i = 0; i < 300; i++) me.room.say(`${i}`);
  });
  wire.cut();
  await ben.until("has joined anew", () => me.heard("joined").length > 0);
  assert.deepEqual(await ben.page.evaluate(() => [me.room.peers.size, me.heard("peer-left").map((/** @type {any} */ { reason }) => reason)]), [1, ["closed"]]);
  assert.deepEqual(await anna.page.evaluate(() => me.heard("peer-left").map((/** @type {any} */ { reason }) => reason)), ["restarted"]);
  await ben.page.evaluate(() => me.room.say("here again"));
  await anna.until("hears Ben again", () => me.heard("chat").some((/** @type {any} */ { text }) => text === "here again"));
}, { role: "viewer" });

members(inEachAtHasty, "Anna", "Ben")("a call has new credentials before the last ones end, and relays with them", async (room, anna, ben) => {
  const options = { iceTransportPolicy: "relay", relayTransport: "udp" };
  await anna.enters(room, options);
  await ben.enters(room, options);
  await ben.until("has a path", () => me.other?.stats?.path);
  const first = await ben.page.evaluate(() => me.other.connection.getConfiguration().iceServers[0].username);
  const ends = Number(first.split(":")[0]) * 1000;
  await ben.until("has other credentials", (first) => {
    const now = me.other.connection.getConfiguration().iceServers[0].username;
    return now !== first && now === me.room.configuration.iceServers[0].username;
  }, first);
  assert.ok(Date.now() < ends, "before the last ones end");
  await ben.until("is past the end of the first", (ends) => Date.now() > ends + 1_000, ends);
  const old = await ben.page.evaluate(() => me.other.connection.localDescription.sdp.match(/a=ice-ufrag:(\S+)/)[1]);
  await ben.page.evaluate(() => me.other.connection.restartIce());
  await ben.until("relays in a new ICE session", async (old) => {
    const { connection } = me.other;
    if (connection.localDescription.sdp.includes(old) || connection.connectionState !== "connected") return false;
    return connection.signalingState === "stable" && (await me.room.stats(me.other.id)).path?.localType === "relay";
  }, old);
});

inEachAtHasty("a call that is relayed goes by the relay's new address, once that has changed", async (box, browser, kind) => {
  const outer = { chromium: "127.0.0.2", firefox: "127.0.0.3" }[kind];
  const [anna, ben] = [await Member.open(browser, box.url, "Anna"), await Member.open(browser, box.url, "Ben")];
  try {
    for (const member of [anna, ben]) await member.enters(`${kind} moves`, { iceTransportPolicy: "relay", relayTransport: "udp" });
    await ben.until("has a path", () => me.other?.stats?.path);
    await box.reload(`[relay]\nexternal = { "127.0.0.1" = "${outer}" }\n`);
    // The old path stands here: when a browser leaves it is up to the browser.
    await ben.until("offers the new address, and stands", (outer) => {
      const { connection } = me.other;
      const isOffered = connection.localDescription.sdp.includes(` ${outer} `);
      return isOffered && connection.signalingState === "stable" && connection.connectionState === "connected";
    }, outer);
    assert.deepEqual(await ben.broken(), [], "the call has gone on meanwhile");
    for (const member of [anna, ben]) await member.close();
  } catch (error) {
    throw await explained(error, box, anna, ben);
  } finally {
    for (const member of [anna, ben]) await member.page.close().catch(() => {});
  }
});

two("an address and a configuration that are none are refused at once", async (_, anna) => {
  const refused = await anna.page.evaluate(async () => {
    const { join } = await import(/** @type {string} */ ("/lanturn.js"));
    const tried = [join("ftp://box", "kitchen"), join(undefined, "kitchen", { rtcConfiguration: { iceServers: [{ urls: "nonsense:1" }] } })];
    return (await Promise.allSettled(tried)).map((/** @type {any} */ { reason }) => reason?.id ?? reason?.name);
  });
  assert.deepEqual(refused, ["unreachable", "SyntaxError"]);
});
