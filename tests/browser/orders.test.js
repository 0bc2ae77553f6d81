/** A call forms in whatever order people join, turn on their cameras and reload; and without a camera at all. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Box } from "./support/box.js";
import { TestBrowser } from "./support/browsers.js";
import { explained, Tab, until } from "./support/tab.js";

/** @import { Kind } from "./support/browsers.js" */
/** @typedef {"join, then camera" | "camera, then join" | "together"} Order */

const CASE = { timeout: 90_000 };
/** @type {Order[]} */
const ORDERS = ["join, then camera", "camera, then join", "together"];

/** @type {Box} */
let box;
/** @type {Record<Kind, TestBrowser>} */
let browsers;
let rooms = 0;

before(async () => {
  box = await Box.start();
  browsers = {
    chromium: await TestBrowser.launch("chromium", box.authority),
    firefox: await TestBrowser.launch("firefox", box.authority),
  };
}, { timeout: 120_000 });

after(async () => {
  for (const browser of Object.values(browsers ?? {})) await browser.close();
  await box?.stop();
});

/**
 * Anna in Chromium and Ben in Firefox, neither in a room yet. Through the relay, so that every order is tried on it.
 * @param {(anna: Tab, ben: Tab, room: string) => Promise<void>} story
 */
function meeting(story) {
  return async () => {
    const url = `${box.url}/?policy=relay`;
    const anna = await Tab.open(browsers.chromium, url, "Anna");
    const ben = await Tab.open(browsers.firefox, url, "Ben");
    try {
      await story(anna, ben, `room ${++rooms}`);
      await Promise.all([anna.close(), ben.close()]);
    } catch (error) {
      throw await explained(error, box, anna, ben);
    } finally {
      for (const tab of [anna, ben]) await tab.page.close().catch(() => {});
    }
  };
}

/** @param {Tab} tab @param {string} room @param {Order} order */
async function arrive(tab, room, order) {
  if (order === "camera, then join") {
    await tab.click("#preview-camera");
    await until(`${tab.who} sees a preview`, () => tab.page.$eval("video#preview", (video) => !video.hidden));
  }
  await tab.join(room, { watch: order === "join, then camera" });
}

/** @param {Tab} tab @param {Order} order */
async function light(tab, order) {
  if (order === "join, then camera") {
    await tab.click("#camera");
    await tab.click("#mic");
  }
  await tab.onAir();
}

for (const first of ORDERS) {
  for (const second of ORDERS) {
    test(`Anna: ${first}; Ben: ${second}`, CASE, meeting(async (anna, ben, room) => {
      await arrive(anna, room, first);
      await arrive(ben, room, second);
      // At the same moment, so that their offers may cross.
      await Promise.all([light(anna, first), light(ben, second)]);
      await Promise.all([anna.sees(), ben.sees()]);
    }));
  }
}

test("either side reloads, and the call forms again", CASE, meeting(async (anna, ben, room) => {
  await anna.join(room);
  await ben.join(room);
  for (const tab of [anna, ben, anna]) {
    await Promise.all([anna.sees(), ben.sees()]);
    await tab.page.reload({ waitUntil: "load" });
    await tab.enter();
  }
  await Promise.all([anna.sees(), ben.sees()]);
}));

test("a reload in the midst of the first offer", CASE, meeting(async (anna, ben, room) => {
  await anna.join(room);
  await ben.join(room);
  await ben.page.reload({ waitUntil: "load" });
  await Promise.all([ben.enter(), anna.page.reload({ waitUntil: "load" }).then(() => anna.enter())]);
  await Promise.all([anna.sees(), ben.sees()]);
}));

test("somebody without a camera sees, whoever came first", CASE, meeting(async (anna, ben, room) => {
  await anna.join(room);
  await ben.join(room, { watch: true });
  await ben.sees();
  await anna.reads(".tile:not(.self) .state", /watching/);
  await ben.click("#leave");
  await anna.click("#leave");
  await ben.join(`${room} again`, { watch: true });
  await anna.join(`${room} again`);
  await ben.sees();
}));

test("two watchers connect, and one turns on the camera later", CASE, meeting(async (anna, ben, room) => {
  await anna.join(room, { watch: true });
  await ben.join(room, { watch: true });
  for (const tab of [anna, ben]) await tab.reads(".tile:not(.self) .state", /via relay.*watching/);
  await ben.click("#camera");
  await anna.sees();
  // Off again: the others are told, rather than left with the last picture.
  await ben.click("#camera");
  await anna.reads(".tile:not(.self) .state", /watching/);
  assert.equal(await anna.page.$eval(".tile:not(.self) video", (video) => video.hidden), true);
  await ben.click("#camera");
  await anna.sees();
}));

test("leaving is seen, and the same two can meet again", CASE, meeting(async (anna, ben, room) => {
  await anna.join(room);
  await ben.join(room);
  await anna.sees();
  await anna.watchLeavings("peer-left");
  await ben.click("#leave");
  assert.equal((await anna.leaving()).reason, "left");
  await ben.reads("#ended-title", "You left the room.");
  await ben.click("#rejoin");
  await ben.entered();
  await Promise.all([anna.sees(), ben.sees()]);
}));
