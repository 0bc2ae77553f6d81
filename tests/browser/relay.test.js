/** Every pair of browsers, over every way to the relay: video flows both ways, and a tab that dies is missed at once. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Box } from "./support/box.js";
import { KINDS, TestBrowser } from "./support/browsers.js";
import { explained, Tab, until } from "./support/tab.js";

/** @import { Kind } from "./support/browsers.js" */

const CASE = { timeout: 90_000 };
/** Time within which the others must see that somebody is gone. */
const MISSED_WITHIN_MS = 2_000;
/** @type {[Kind, Kind][]} */
const PAIRS = [["chromium", "chromium"], ["firefox", "firefox"], ["chromium", "firefox"]];

/** @type {Box} */
let box;
/** Two of each kind, so that no two people share a process. @type {Record<Kind, TestBrowser[]>} */
const browsers = { chromium: [], firefox: [] };

before(async () => {
  box = await Box.start();
  for (const kind of KINDS) {
    for (let i = 0; i < 2; i++) browsers[kind].push(await TestBrowser.launch(kind, box.authority));
  }
}, { timeout: 120_000 });

after(async () => {
  for (const browser of Object.values(browsers).flat()) await browser.close();
  await box?.stop();
});

for (const [left, right] of PAIRS) {
  for (const transport of ["udp", "tcp", "tls"]) {
    test(`${left} and ${right} through the relay over ${transport}`, CASE, async () => {
      const url = `${box.url}/?policy=relay&transport=${transport}`;
      const anna = await Tab.open(browsers[left][0], url, "Anna");
      const ben = await Tab.open(browsers[right][1], url, "Ben");
      try {
        const room = `relay ${left} ${right} ${transport}`;
        await anna.join(room);
        await ben.join(room);
        await Promise.all([anna.sees(), ben.sees()]);
        for (const tab of [anna, ben]) {
          const pair = await tab.pair();
          assert.equal(pair.localType, "relay", `${tab.who}'s address`);
          assert.equal(pair.relayProtocol, transport, `${tab.who}'s way to the relay`);
          await tab.reads(".tile:not(.self) .state", new RegExp(`via relay \\(${transport}\\)`, "i"));
        }
        await anna.watchLeavings("peer-left");
        const killed = Date.now();
        await ben.kill();
        const { at } = await anna.leaving();
        assert.ok(at - killed < MISSED_WITHIN_MS, `Anna saw it after ${at - killed} ms`);
        await anna.reads("#people", /^1 of/);
        await anna.close();
        assert.deepEqual(ben.faults, [], "Ben met errors");
      } catch (error) {
        throw await explained(error, box, anna, ben);
      } finally {
        for (const tab of [anna, ben]) await tab.page.close().catch(() => {});
      }
    });
  }
}

for (const kind of KINDS) {
  test(`a ${kind} whose processes are killed is missed`, CASE, async () => {
    const victim = await TestBrowser.launch(kind, box.authority);
    const anna = await Tab.open(browsers.chromium[0], box.url, "Anna");
    const ben = await Tab.open(victim, box.url, "Ben");
    try {
      await anna.join("killed");
      await ben.join("killed");
      await Promise.all([anna.sees(), ben.sees()]);
      await anna.watchLeavings("presence");
      const killed = Date.now();
      victim.kill();
      const { at, reason } = await anna.leaving();
      assert.ok(at - killed < MISSED_WITHIN_MS, `Anna saw it after ${at - killed} ms`);
      assert.equal(reason, "away");
      await anna.reads(".tile:not(.self) .state", /away for a moment/);
      // Nobody comes back: who was waited for has left.
      await until("Anna is alone", () => anna.page.evaluate(() => lanturn.room.peers.size === 0));
      await anna.close();
    } catch (error) {
      throw await explained(error, box, anna, ben);
    } finally {
      await anna.page.close().catch(() => {});
      await victim.close();
    }
  });
}
