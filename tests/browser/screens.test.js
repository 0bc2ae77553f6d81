/** Every state of the page, looked at in each size, language and theme: see support/gallery.js. */

import assert from "node:assert/strict";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { Box } from "./support/box.js";
import { look } from "./support/gallery.js";
import { PlainProxy } from "./support/proxy.js";
import { stories } from "./support/stories.js";
import { until } from "./support/tab.js";
import { Wire } from "./support/wire.js";

/** @import { Scene } from "./support/stories.js" */

/** Each state is looked at eight times. */
const scene = stories({ timeout: 240_000 });
/** What a story has started besides. @type {(() => unknown)[]} */
const ends = [];
after(async () => {
  for (const end of ends) await end();
});

/** @param {import("./support/tab.js").Tab} tab */
async function seesSomebody(tab) {
  await until(`${tab.who} sees somebody`, async () => (await tab.stats()).some((each) => each.framesDecoded > 0));
}

/** Anna's call with the others, of whom the first sends a picture: four that do are much for two cores. @param {Scene} scene @param {string[]} others */
async function lightCall({ open, room }, ...others) {
  const anna = await open("Anna");
  await anna.join(room);
  for (const who of others) await (await open(who)).join(room, { watch: who !== others[0] });
  await anna.page.bringToFront();
  await seesSomebody(anna);
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
  const anna = await lightCall(scene, "Ben");
  await look(anna, "07-two");
  await anna.open("#people");
  await look(anna, "08-people");
  await look(anna, "09-confirm", () => anna.click(".kick:not([hidden])"));
  await anna.page.keyboard.press("Escape");
  await anna.open("#invite");
  await until("the code is drawn", () => anna.page.$eval("#invite-qr", (image) => /** @type {HTMLImageElement} */ (image).naturalWidth > 0));
  await look(anna, "10-invite");
  await anna.open("#settings");
  await anna.click("#manual summary");
  await until("what is sent is shown", () => anna.page.$("#compared:not([hidden])"));
  await look(anna, "11-settings");
  await anna.page.$eval("#compared", (table) => table.scrollIntoView());
  await look(anna, "11-settings-below");
  await anna.page.keyboard.press("Escape");
  await look(anna, "12-menu", () => anna.click(".tile:not(.self) .tile-more"));
});

scene("talk", async (scene) => {
  const [anna, ben] = await scene.call("Ben");
  for (const [tab, text] of /** @type {const} */ ([[anna, "Can you see the plan?"], [ben, "Yes. The door is on the left, and the window opposite it."], [anna, "Good."]])) {
    await tab.canWrite();
    await tab.open("#chat");
    await tab.type("#chat-text", text);
    await tab.click("#chat-form [type=submit]");
    await until("it is there", async () => (await anna.text("#talk")).includes(text));
  }
  await (await ben.page.$("input#attach-file"))?.uploadFile(fileURLToPath(import.meta.url));
  await until("Anna is offered a file", () => anna.page.$("#talk .said:last-child button:not([hidden])"));
  await look(anna, "26-chat");
  await anna.open("#stats");
  const drawn = () => anna.page.$eval("#calls path", (path) => (path.getAttribute("d")?.split("L").length ?? 0) > 6);
  await until("there is something to plot", drawn);
  await look(anna, "27-stats");
  await anna.page.keyboard.press("Escape");
  await ben.share();
  await until("Anna sees Ben's screen", () => anna.page.$(".tile.screen"));
  await look(anna, "28-screen");
});

scene("grid", async (scene) => {
  const anna = await lightCall(scene, "Ben", "Chloe", "Dilnoza with a rather long name that has to be cut");
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
  // As where a browser lets nothing be heard before the page is pressed.
  await chloe.page.evaluate(() => {
    const { play } = HTMLMediaElement.prototype;
    HTMLMediaElement.prototype.play = async function () {
      return this.muted ? play.call(this) : Promise.reject(new DOMException("no gesture", "NotAllowedError"));
    };
  });
  await chloe.enter({ watch: true });
  await seesSomebody(chloe);
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
  const small = await Box.start({ dir: box.dir, env: { LANTURN__ROOMS__CAPACITY: "2" } });
  ends.push(() => small.stop({ keep: true }));
  for (const who of ["Anna", "Chloe"]) await (await open(who, small.url)).join(room, { watch: true });
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

scene("refused", async ({ open, box, kind, room }) => {
  const anna = await open("Anna", `${box.url}/r/${encodeURIComponent(room)}`);
  await anna.page.evaluate(() => {
    navigator.mediaDevices.getUserMedia = async () => Promise.reject(new DOMException("no", "NotAllowedError"));
  });
  await anna.enter();
  await anna.reads("#notice", kind === "firefox" ? /crossed-out camera/ : /Site settings/);
  await look(anna, "24-refused");
});

scene("insecure", async ({ open, box }) => {
  const behind = await Box.start({ dir: box.dir, env: { LANTURN__LISTEN__PROXIES: "127.0.0.1" } });
  ends.push(() => behind.stop({ keep: true }));
  const proxy = await PlainProxy.before(behind);
  ends.push(() => proxy.stop());
  const anna = await open("Anna", proxy.url);
  // Which an insecure page may not send.
  anna.forgiven = /Cross-Origin-Opener-Policy/;
  await anna.reads("#notice", /needs https/);
  const way = await anna.page.$eval("#notice-link", (link) => /** @type {HTMLAnchorElement} */ (link).href);
  assert.equal(way, `${proxy.url.replace("http:", "https:")}/`);
  await look(anna, "25-insecure");
});
