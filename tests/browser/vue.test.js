/** examples/vue, built as its README says and served by another site: join, camera later, watch without one, leave, call again. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { KINDS } from "./support/browsers.js";
import { elsewhere } from "./support/elsewhere.js";
import { explained, Tab, until } from "./support/tab.js";

/** @import { Kind } from "./support/browsers.js" */

const CASE = { timeout: 60_000 };
const EXAMPLE = fileURLToPath(new URL("../../examples/vue/", import.meta.url));
const TYPES = /** @type {Record<string, string>} */ ({ ".html": "text/html", ".js": "text/javascript", ".css": "text/css" });

let dist = "";

const there = elsewhere(async (request, response) => {
  const { pathname } = new URL(request.url ?? "/", "http://site");
  const file = pathname === "/" ? "/index.html" : pathname;
  try {
    const body = await readFile(join(dist, file));
    response.setHeader("content-type", `${TYPES[extname(file)]}; charset=utf-8`).end(body);
  } catch {
    response.writeHead(404).end();
  }
}, {
  prepare: async ({ box }) => {
    dist = await mkdtemp(join(tmpdir(), "lanturn-vue-"));
    const build = ["run", "build", "--", "--outDir", dist, "--emptyOutDir"];
    await promisify(execFile)("npm", build, { cwd: EXAMPLE, env: { ...process.env, VITE_BOX: box.url } });
  },
});

after(() => rm(dist, { recursive: true, force: true }));

/** @param {Tab} tab @param {string} room */
async function enter(tab, room) {
  await tab.type("#room", room);
  await tab.type("#name", tab.who);
  await tab.click("#join");
  await shows(tab, "#title", room);
}

/** Until the page has an element with these words. @param {Tab} tab @param {string} selector @param {string} words */
async function shows(tab, selector, words) {
  const found = () => tab.page.$$eval(selector, (all) => all.map((each) => /** @type {HTMLElement} */ (each).innerText).join());
  await until(`${tab.who} reads "${words}"`, async () => (await found()) === words);
}

/** Until the page plays what the only other sends. @param {Tab} tab */
async function plays(tab) {
  await tab.page.bringToFront();
  const time = () => tab.page.$$eval(".person video", ([video]) => (video.videoWidth > 0 ? video.currentTime : 0));
  await until(`${tab.who} sees a picture`, time);
  const before = await time();
  await until(`${tab.who} sees it move`, async () => (await time()) > before);
}

for (const kind of KINDS) {
  test(`${kind}: a page with Vue calls, with the camera later, without one, and again`, CASE, async () => {
    const browser = there.browsers[kind];
    const [anna, ben] = [await Tab.open(browser, there.origin, "Anna"), await Tab.open(browser, there.origin, "Ben")];
    try {
      await enter(anna, `vue ${kind}`);
      await enter(ben, `vue ${kind}`);
      // Nobody has a camera on, and the call stands.
      await shows(ben, ".person figcaption", "Anna: connected, no camera");
      await anna.click("#camera");
      await shows(ben, ".person figcaption", "Anna: connected");
      await plays(ben);
      // Ben only watches, until later.
      await shows(anna, ".person figcaption", "Ben: connected, no camera");
      await ben.click("#camera");
      await plays(anna);
      await anna.click("#camera");
      await shows(ben, ".person figcaption", "Anna: connected, no camera");
      await ben.click("#leave");
      await until("Anna is alone", async () => (await anna.page.$$(".person")).length === 0);
      assert.equal(await ben.page.$eval("#camera", (button) => button.getAttribute("aria-pressed")), "false", "who left films nobody");
      await ben.click("#camera");
      await enter(ben, `vue ${kind}`);
      await plays(anna);
      await anna.close();
      await ben.close();
    } catch (error) {
      throw await explained(error, there.box, anna, ben);
    } finally {
      for (const tab of [anna, ben]) await tab.page.close().catch(() => {});
    }
  });
}

test("a page with Vue that may not be heard yet shows the picture, and has a button", CASE, async () => {
  const [anna, ben] = [await Tab.open(there.browsers.chromium, there.origin, "Anna"), await Tab.open(there.browsers.chromium, there.origin, "Ben")];
  try {
    await anna.page.evaluate(() => {
      const { play } = HTMLMediaElement.prototype;
      HTMLMediaElement.prototype.play = async function () {
        if (!this.muted && document.body.dataset.pressed === undefined) throw new DOMException("no gesture", "NotAllowedError");
        return play.call(this);
      };
      addEventListener("click", ({ target }) => {
        if (/** @type {Element} */ (target).matches(".hear")) document.body.dataset.pressed = "";
      }, { capture: true });
    });
    await enter(anna, "unheard");
    await enter(ben, "unheard");
    for (const id of ["#camera", "#mic"]) await ben.click(id);
    await plays(anna);
    const muted = () => anna.page.$eval(".person video", (video) => /** @type {HTMLVideoElement} */ (video).muted);
    assert.equal(await muted(), true);
    await anna.page.click(".hear");
    await until("Anna hears Ben", async () => !(await muted()) && (await anna.page.$(".hear")) === null);
    await plays(anna);
  } finally {
    for (const tab of [anna, ben]) await tab.page.close().catch(() => {});
  }
});

test("a module that can't be had is told of", CASE, async () => {
  const tab = await Tab.open(there.browsers.chromium, there.origin, "Anna");
  tab.forgiven = /ERR_INTERNET_DISCONNECTED/;
  try {
    await tab.page.setOfflineMode(true);
    await tab.click("#camera");
    await shows(tab, "#problem", "unreachable");
    await tab.close();
  } finally {
    await tab.page.close().catch(() => {});
  }
});

test("a box that can't be reached is told of", CASE, async () => {
  const tab = await Tab.open(there.browsers.chromium, there.origin.replace("localhost", "127.0.0.1"), "Anna");
  tab.forgiven = /WebSocket|403/;
  try {
    await tab.type("#room", "kitchen");
    await tab.click("#join");
    // By another name the site is another one, which the box does not list.
    await shows(tab, "#problem", "unreachable");
    await tab.close();
  } finally {
    await tab.page.close().catch(() => {});
  }
});
