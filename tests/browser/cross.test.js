/** Chromium and Firefox with each other: screens from both at once, text, a file, an order of codecs, music. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Box } from "./support/box.js";
import { TestBrowser } from "./support/browsers.js";
import { Member } from "./support/member.js";
import { explained } from "./support/tab.js";

const CASE = { timeout: 60_000 };

/** @type {Box} */
let box;
/** @type {TestBrowser[]} */
let browsers = [];

before(async () => {
  box = await Box.start();
  browsers = [await TestBrowser.launch("chromium", box.authority), await TestBrowser.launch("firefox", box.authority)];
}, { timeout: 120_000 });

after(async () => {
  for (const browser of browsers) await browser.close();
  await box?.stop();
});

/**
 * @param {string} first who makes the room; the other makes the first offer
 * @param {() => TestBrowser[]} order
 */
function together(first, order) {
  test(`${first} first: all that a call carries goes both ways`, CASE, async () => {
    const [one, other] = order();
    const [anna, ben] = [await Member.open(one, box.url, "Anna"), await Member.open(other, box.url, "Ben")];
    const both = [anna, ben];
    try {
      await anna.enters(first);
      await ben.enters(first);
      await Promise.all(both.map(({ page }) => page.evaluate(() => me.media.start("audio", "video"))));
      for (const member of both) await member.watches();
      await Promise.all(both.map((member) => member.shares()));
      for (const member of both) await member.watches("screen");
      await ben.page.evaluate(() => me.media.unshare());
      await anna.until("sees no screen", () => me.other.screen.getTracks().length === 0);
      await Promise.all(both.map(({ page }) => page.evaluate(() => me.room.setQuality({ audio: { music: true }, camera: { codecs: ["video/VP9"] } }))));
      for (const member of both) await member.until("sees VP9", () => me.picture()?.codec === "video/VP9" && me.picture().frameRate > 0);
      for (const member of both) await member.until("can write", () => me.other.chats);
      await ben.page.evaluate(() => {
        me.room.addEventListener("file", async (/** @type {any} */ { detail: { transfer } }) => (me.got = await transfer.accept()));
      });
      await anna.page.evaluate(() => {
        me.room.say("Hello");
        [me.transfer] = me.room.sendFile(new File([new Uint8Array(3_000_000).fill(7)], "sevens"));
      });
      await ben.until("has all", () => me.heard("chat")[0]?.text === "Hello" && me.got?.size === 3_000_000);
      await anna.until("knows", () => me.transfer.state === "done");
      for (const member of both) assert.deepEqual(await member.broken(), []);
      for (const member of both) await member.close();
    } catch (error) {
      throw await explained(error, box, anna, ben);
    } finally {
      for (const member of both) await member.page.close().catch(() => {});
    }
  });
}

together("Chromium", () => browsers);
together("Firefox", () => browsers.toReversed());
