/** What people see when their connection to the box drops and comes back, and when somebody else begins anew. */

import assert from "node:assert/strict";
import { bothBrowsers } from "./support/both.js";
import { explained, Tab, until } from "./support/tab.js";
import { Wire } from "./support/wire.js";

const inEach = bothBrowsers();

/**
 * Anna in a page, and Ben in another of the same browser, at the end of a wire.
 * @param {string} what @param {(anna: Tab, ben: Tab, wire: Wire) => Promise<void>} story
 */
function inBoth(what, story) {
  inEach(what, async (box, browser, kind) => {
    const wire = await Wire.to(box);
    const [anna, ben] = [await Tab.open(browser, box.url, "Anna"), await Tab.open(browser, wire.url, "Ben")];
    // Browsers complain about a connection that is cut.
    ben.forgiven = /wss:|ERR_|NetworkError/;
    try {
      await anna.join(`${kind} ${what}`);
      await ben.join(`${kind} ${what}`);
      await Promise.all([anna.sees(), ben.sees()]);
      await story(anna, ben, wire);
      await Promise.all([anna.close(), ben.close()]);
    } catch (error) {
      throw await explained(error, box, anna, ben);
    } finally {
      for (const tab of [anna, ben]) await tab.page.close().catch(() => {});
      wire.stop();
    }
  });
}

inBoth("a dropped connection is resumed, and the call that ran meanwhile was never touched", async (anna, ben, wire) => {
  await ben.page.evaluate(() => {
    const [peer] = lanturn.room.peers.values();
    Object.assign(lanturn, { before: { id: lanturn.room.self.id, peer, sdp: peer.connection.localDescription.sdp }, told: [] });
    for (const type of ["away", "back", "joined", "peer-left"]) {
      lanturn.room.addEventListener(type, () => lanturn.told.push(type));
    }
  });
  wire.cut();
  await until("Ben is back", () => ben.page.evaluate(() => lanturn.told.includes("back")));
  const told = await ben.page.$$eval("#notice, #calm", (each) => each.filter((one) => !/** @type {HTMLElement} */ (one).hidden).length);
  assert.equal(told, 0);
  const same = await ben.page.evaluate(() => {
    const [peer] = lanturn.room.peers.values();
    const { before, told } = lanturn;
    return { told, sdp: peer.connection.localDescription.sdp === before.sdp, peer: peer === before.peer, id: lanturn.room.self.id === before.id };
  });
  assert.deepEqual(same, { told: ["away", "back"], sdp: true, peer: true, id: true });
  await Promise.all([anna.sees(), ben.sees()]);
});

inBoth("what was said while the connection was away arrives, once", async (anna, ben, wire) => {
  wire.deafen();
  // The others hear nothing of it, and neither does the box.
  await Promise.all([anna.click("#camera"), ben.click("#camera")]);
  await until("both have offered", async () => {
    const states = [anna, ben].map(({ page }) =>
      page.evaluate(() => [...lanturn.room.peers.values()].map((peer) => peer.connection.signalingState)));
    return String(await Promise.all(states)) === "have-local-offer,have-local-offer";
  });
  wire.cut();
  await anna.reads(".tile:not(.self) .state", /no video/);
  await ben.reads(".tile:not(.self) .state", /no video/);
  await Promise.all([anna.click("#camera"), ben.click("#camera")]);
  await Promise.all([anna.sees(), ben.sees()]);
});

inBoth("a network that comes back is not waited for", async (_, ben, wire) => {
  // Only the heartbeat would find out, after ten seconds.
  wire.deafen();
  await ben.page.evaluate(() => {
    const { room } = lanturn;
    room.addEventListener("away", () => (lanturn.awayAt = performance.now()));
    room.addEventListener("back", () => (lanturn.backAt = performance.now()));
    lanturn.onlineAt = performance.now();
    dispatchEvent(new Event("online"));
  });
  await ben.reads("#calm", /Trying again/);
  wire.cut();
  await until("Ben is back", () => ben.page.evaluate(() => lanturn.backAt));
  const waited = await ben.page.evaluate(() => lanturn.awayAt - lanturn.onlineAt);
  assert.ok(waited < 6_000, `it took ${waited} ms to find out`);
});

inBoth("somebody who begins anew is called anew", async (anna, ben, wire) => {
  const room = await anna.text("#room-title");
  await ben.click("#leave");
  await anna.reads("#people", /^1 of/);
  // A client of another make, which forgets all it knew and resumes.
  const say = (/** @type {object} */ message) => ben.page.evaluate(
    (message) => new Promise((resolve) => {
      const socket = new WebSocket(location.origin.replace("http", "ws") + "/ws");
      socket.onopen = () => socket.send(JSON.stringify(message));
      socket.onmessage = ({ data }) => JSON.parse(data).type === "joined" && resolve(JSON.parse(data).resume.token);
      Object.assign(globalThis, { socket });
    }),
    message,
  );
  const token = await say({ type: "join", room, name: "Other", resume: true });
  await anna.reads("#people", /Anna, Other/);
  const call = (/** @type {boolean} */ again) => anna.page.evaluate((again) => {
    const [peer] = lanturn.room.peers.values();
    const seen = { epoch: peer.epoch, anew: peer !== lanturn.first };
    if (!again) lanturn.first = peer;
    return seen;
  }, again);
  await call(false);
  await anna.click(".tile:not(.self) .tile-more");
  await anna.click("#tile-menu button");
  wire.cut();
  await say({ type: "resume", token, fresh: true });
  await until("Anna calls anew", async () => (await call(true)).epoch === 2);
  assert.equal((await call(true)).anew, true);
  assert.equal(await anna.page.$$eval(".tile:not(.self)", (tiles) => tiles.length), 1);
  assert.equal(await anna.page.$eval(".tile:not(.self) video", (video) => /** @type {HTMLVideoElement} */ (video).muted), true, "who was muted is still");
});

inBoth("what happens to the connections is told to a screen reader, too", async (anna, ben, wire) => {
  wire.cut();
  await ben.hears("Connection to the box lost. Trying again… Calls go on meanwhile.");
  await ben.hears("The connection to the box is back.");
  /** @type {[string, string][]} */
  const course = [
    ["reconnecting", "The connection to Anna is interrupted."],
    ["failed", "The connection to Anna is lost. Trying again."],
    ["connected", "Anna is connected again."],
  ];
  for (const [state, words] of course) {
    await ben.page.evaluate((state) => {
      const [peer] = lanturn.room.peers.values();
      Object.defineProperty(peer, "state", { get: () => state, configurable: true });
      lanturn.room.dispatchEvent(new CustomEvent("state", { detail: { peer } }));
    }, state);
    await ben.hears(words);
  }
  await anna.click("#leave");
  await ben.hears("You are the host now.");
});

inBoth("what a host asks for while the box is away is refused at once, and the page does not say otherwise", async (anna, ben, wire) => {
  await anna.click("#leave");
  await until("Ben is the host", () => ben.page.evaluate(() => lanturn.room.host === lanturn.room.self.id));
  wire.stop();
  await until("Ben is away", () => ben.page.evaluate(() => !lanturn.room.connected));
  await ben.click("#lock");
  await ben.reads("#notice", /can't be reached/);
  assert.equal(await ben.page.$eval("#lock", (lock) => /** @type {HTMLInputElement} */ (lock).checked), false);
});
