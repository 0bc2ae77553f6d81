/** Every state of the page, looked at in each size, language and theme: see support/gallery.js. */

import assert from "node:assert/strict";
import { after } from "node:test";
import { Box } from "./support/box.js";
import { bothBrowsers } from "./support/both.js";
import { look } from "./support/gallery.js";
import { PlainProxy } from "./support/proxy.js";
import { explained, Tab, until } from "./support/tab.js";
import { Wire } from "./support/wire.js";

/** @import { TestBrowser } from "./support/browsers.js" */
/** @typedef {{box: Box, browser: TestBrowser, room: string, open: (who: string, url?: string) => Promise<Tab>}} Scene */

/** Each state is looked at eight times. */
const inEach = bothBrowsers({ timeout: 240_000 });
/** What a story has started besides. @type {(() => unknown)[]} */
const ends = [];
after(async () => {
  for (const end of ends) await end();
});

/** @param {string} state @param {(scene: Scene) => Promise<void>} story */
function scene(state, story) {
  inEach(state, async (box, browser, kind) => {
    /** @type {Tab[]} */
    const tabs = [];
    const open = async (/** @type {string} */ who, url = box.url) => {
      const tab = await Tab.open(browser, url, who);
      tabs.push(tab);
      return tab;
    };
    try {
      await story({ box, browser, room: `${state} ${kind}`, open });
      for (const tab of tabs) await tab.close();
    } catch (error) {
      throw explained(error, box, ...tabs);
    } finally {
      for (const tab of tabs) await tab.page.close().catch(() => {});
    }
  });
}

/** Anna's call with the others, each of whom is seen. @param {Scene} scene @param {string[]} others */
async function call({ open, room }, ...others) {
  const anna = await open("Anna");
  await anna.join(room);
  for (const who of others) await (await open(who)).join(room, { watch: who !== others[0] });
  await anna.page.bringToFront();
  await until("Anna sees the first", async () => (await anna.stats()).some((each) => each.framesDecoded > 0));
  return anna;
}

scene("start", async ({ open }) => {
  const anna = await open("Anna");
  await look(anna, "01-start");
  await anna.click("#help summary");
  await look(anna, "02-help");
  await anna.click("#help summary");
  await anna.click("#suggest");
  await anna.type("#name", "Anna");
  await look(anna, "03-typed");
  await anna.click("#preview-camera");
  await until("Anna sees herself", () => anna.page.$eval("#preview", (video) => /** @type {HTMLVideoElement} */ (video).videoWidth > 0));
  await look(anna, "04-preview");
});

scene("alone", async ({ open, room }) => {
  const anna = await open("Anna");
  await anna.join(room);
  await anna.onAir();
  await look(anna, "05-alone");
  await anna.click("#leave");
  await look(anna, "06-ended");
});

scene("call", async (scene) => {
  const anna = await call(scene, "Ben");
  await look(anna, "07-two");
  await anna.open("#people");
  await look(anna, "08-people");
  await anna.click(".kick:not([hidden])");
  await look(anna, "09-confirm");
  await anna.page.keyboard.press("Escape");
  await anna.open("#invite");
  await until("the code is drawn", () => anna.page.$eval("#invite-qr", (image) => /** @type {HTMLImageElement} */ (image).naturalWidth > 0));
  await look(anna, "10-invite");
  await anna.open("#settings");
  await look(anna, "11-settings");
  await anna.page.keyboard.press("Escape");
  await anna.click(".tile:not(.self) .tile-more");
  await look(anna, "12-menu");
});

scene("grid", async (scene) => {
  const anna = await call(scene, "Ben", "Chloe", "Dilnoza with a rather long name that has to be cut");
  await look(anna, "13-four");
  await anna.click(".tile:not(.self) .tile-more");
  await anna.click("#tile-menu button:nth-child(2)");
  await look(anna, "14-pinned");
});

scene("watching", async ({ open, room, box }) => {
  const anna = await open("Anna");
  await anna.join(room);
  await anna.open("#invite");
  await anna.click("[name=invite-role][value=viewer]");
  const link = () => anna.page.$eval("#invite-link", (input) => /** @type {HTMLInputElement} */ (input).value);
  await until("there is a link", async () => (await link()).endsWith("viewer"));
  const ben = await open("Ben", await link());
  await look(ben, "15-invited");
  await ben.enter();
  await ben.sees();
  await look(ben, "16-viewer");
  const chloe = await open("Chloe", `${box.url}/r/${encodeURIComponent(room)}`);
  await chloe.enter({ watch: true });
  await chloe.sees(2).catch(() => {});
  await look(chloe, "17-no-camera");
});

scene("doors", async ({ open, room }) => {
  const anna = await open("Anna");
  await anna.join(room);
  await anna.open("#invite");
  await anna.type("#room-pin", "4711");
  await anna.page.keyboard.press("Enter");
  await anna.reads("#standing", "with PIN");
  const ben = await open("Ben");
  await ben.type("#room", room);
  await ben.click("#join");
  await ben.reads("#notice", /The room has a PIN/);
  await look(ben, "18-pin");
  await anna.click("#lock");
  await anna.reads("#standing", /locked/);
  await look(anna, "19-host");
  await ben.click("#join");
  await ben.reads("#notice", /The host has locked/);
  await look(ben, "20-locked");
});

scene("full", async ({ open, box, room }) => {
  const small = await Box.start({ dir: box.dir, env: { LANTURN__ROOMS__CAPACITY: "1" } });
  ends.push(() => small.stop({ keep: true }));
  await (await open("Anna", small.url)).join(room);
  const ben = await open("Ben", small.url);
  await ben.type("#room", room);
  await ben.click("#join");
  await ben.reads("#notice", /The room is full/);
  await look(ben, "21-full");
});

scene("trouble", async ({ open, box, room }) => {
  const anna = await open("Anna");
  await anna.join(room);
  const wire = await Wire.to(box);
  const ben = await open("Ben", wire.url);
  ben.forgiven = /./;
  await ben.join(room);
  await ben.sees();
  wire.stop();
  await ben.reads("#calm", /Trying again/);
  await look(ben, "22-reconnecting");
  await ben.click("#leave");
  await ben.click("#rejoin");
  await ben.reads("#notice", /can't be reached/);
  await look(ben, "23-unreachable");
});

scene("refused", async ({ open, box, browser, room }) => {
  const anna = await open("Anna", `${box.url}/r/${encodeURIComponent(room)}`);
  await anna.page.evaluate(() => {
    navigator.mediaDevices.getUserMedia = async () => Promise.reject(new DOMException("no", "NotAllowedError"));
  });
  await anna.enter();
  await anna.reads("#notice", browser.kind === "firefox" ? /crossed-out camera/ : /Site settings/);
  await look(anna, "24-refused");
});

scene("insecure", async ({ open, box }) => {
  const behind = await Box.start({ dir: box.dir, env: { LANTURN__LISTEN__PROXIES: "127.0.0.1" } });
  ends.push(() => behind.stop({ keep: true }));
  const proxy = await PlainProxy.before(behind);
  ends.push(() => proxy.stop());
  const anna = await open("Anna", proxy.url);
  await anna.reads("#notice", /needs https/);
  const way = await anna.page.$eval("#notice-link", (link) => /** @type {HTMLAnchorElement} */ (link).href);
  assert.equal(way, `${proxy.url.replace("http:", "https:")}/`);
  await look(anna, "25-insecure");
});
