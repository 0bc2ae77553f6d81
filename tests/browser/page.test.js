/** The page in the hands of people: direct calls, full rooms, room names, languages, and what it says about trouble. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Box } from "./support/box.js";
import { TestBrowser } from "./support/browsers.js";
import { explained, Tab, until } from "./support/tab.js";

const CASE = { timeout: 60_000 };

/** @type {Box} */
let box;
/** A second box, whose rooms hold two. @type {Box} */
let small;
/** @type {TestBrowser} */
let browser;

before(async () => {
  box = await Box.start();
  small = await Box.start({ dir: box.dir, env: { LANTURN__ROOMS__CAPACITY: "2" } });
  browser = await TestBrowser.launch("chromium", box.authority);
}, { timeout: 120_000 });

after(async () => {
  await browser?.close();
  await small?.stop({ keep: true });
  await box?.stop();
});

/**
 * @param {string[]} names
 * @param {(...tabs: Tab[]) => Promise<void>} story
 * @param {() => Box} [at]
 */
function people(names, story, at = () => box) {
  return async () => {
    /** @type {Tab[]} */
    const tabs = [];
    try {
      for (const name of names) tabs.push(await Tab.open(browser, at().url, name));
      await story(...tabs);
      for (const tab of tabs) await tab.close();
    } catch (error) {
      throw await explained(error, at(), ...tabs);
    } finally {
      for (const tab of tabs) await tab.page.close().catch(() => {});
    }
  };
}

test("a direct call says that it is one", CASE, people(["Anna", "Ben"], async (anna, ben) => {
  await anna.join("direct");
  await ben.join("direct");
  await Promise.all([anna.sees(), ben.sees()]);
  assert.notEqual((await anna.pair()).localType, "relay");
  // A page that nobody looks at does not refresh its figures.
  await anna.page.bringToFront();
  await anna.reads(".tile:not(.self) .state", "direct");
  await anna.reads("#people", "2 of 8 here: Anna, Ben");
}));

test("three people all see each other", CASE, people(["Anna", "Ben", "Chloe"], async (...tabs) => {
  for (const tab of tabs) await tab.join("three");
  for (const tab of tabs) await tab.sees(2);
}));

test("a full room says so, and lets in the next when somebody leaves", CASE, people(["Anna", "Ben", "Chloe"], async (anna, ben, chloe) => {
  await anna.join("full");
  await ben.join("full");
  await chloe.type("#room", "full");
  await chloe.click("#join");
  await chloe.reads("#notice", /The room is full/);
  await ben.click("#leave");
  await anna.reads("#people", /^1 of 2/);
  await chloe.join("full");
  await Promise.all([anna.sees(), chloe.sees()]);
}, () => small));

test("a room name in any script, typed differently, is one room, and its link leads there", CASE, people(["Anna", "Ben"], async (anna, ben) => {
  await anna.join("  가족   부엌 Café ");
  await anna.reads("#room-title", "가족 부엌 café");
  assert.equal(await anna.page.$eval("#link", (link) => /** @type {HTMLInputElement} */ (link).value),
    `${box.url}/r/${encodeURIComponent("가족 부엌 café")}`);
  await ben.page.goto(anna.page.url(), { waitUntil: "load" });
  await ben.enter();
  await Promise.all([anna.sees(), ben.sees()]);
}));

test("a room name that the box refuses is explained", CASE, people(["Anna"], async (anna) => {
  await anna.type("#room", "   ");
  await anna.click("#join");
  await anna.reads("#notice", /This room name does not work/);
}));

test("a refused camera is explained, and the room is entered all the same", CASE, people(["Anna", "Ben"], async (anna, ben) => {
  await anna.page.evaluate(() => {
    navigator.mediaDevices.getUserMedia = async () => Promise.reject(new DOMException("no", "NotAllowedError"));
  });
  await anna.join("refused");
  await anna.reads("#notice", /was refused/);
  await ben.join("refused");
  await anna.sees();
}));

test("a box that restarts is joined again by itself", CASE, async () => {
  const first = await Box.start({ dir: box.dir });
  /** @type {Tab[]} */
  const tabs = [];
  try {
    for (const name of ["Anna", "Ben"]) tabs.push(await Tab.open(browser, first.url, name));
    for (const tab of tabs) await tab.join("restart");
    for (const tab of tabs) await tab.sees();
    await first.stop({ keep: true });
    for (const tab of tabs) await tab.reads("#calm", /Trying again/);
    const port = new URL(first.url).port;
    const second = await Box.start({ dir: box.dir, env: { LANTURN__LISTEN__ADDRESSES: `127.0.0.1:${port}` } });
    try {
      for (const tab of tabs) await tab.sees();
    } finally {
      await second.stop({ keep: true });
    }
  } catch (error) {
    throw await explained(error, first, ...tabs);
  } finally {
    for (const tab of tabs) await tab.page.close().catch(() => {});
    await first.stop({ keep: true });
  }
});

test("where the browser lets nothing be heard yet, there is the picture, and one press for the sound of all", CASE, people(["Anna", "Ben", "Chloe"], async (anna, ben, chloe) => {
  await anna.page.evaluate(() => {
    const { play } = HTMLMediaElement.prototype;
    HTMLMediaElement.prototype.play = async function () {
      if (!this.muted && !lanturn.pressed) throw new DOMException("no gesture", "NotAllowedError");
      return play.call(this);
    };
    addEventListener("click", ({ isTrusted }) => (lanturn.pressed ||= isTrusted), { capture: true });
  });
  for (const tab of [ben, chloe]) await tab.join("unheard");
  await anna.join("unheard", { watch: true });
  await anna.sees(2);
  const others = () => anna.page.$$eval(".tile:not(.self) video", (all) => all.map((video) => [/** @type {HTMLVideoElement} */ (video).muted, /** @type {HTMLVideoElement} */ (video).paused]));
  assert.deepEqual(await others(), [[true, false], [true, false]]);
  await anna.reads("#hear", "Press to hear");
  await anna.page.bringToFront();
  await anna.page.click("#hear");
  assert.deepEqual(await others(), [[false, false], [false, false]]);
  assert.equal(await anna.page.$("#hear:not([hidden])"), null);
}));

test("the settings open in the lobby, and the quality of the last visit is asked for before they do", CASE, people(["Anna"], async (anna) => {
  await anna.click("#preview-settings");
  await until("there are presets", () => anna.page.$("#camera-presets [value=saver]"));
  await anna.click("#camera-presets [value=saver]");
  await anna.page.reload({ waitUntil: "load" });
  await anna.click("#preview-camera");
  const height = () => anna.page.$eval("#preview", (video) => /** @type {MediaStream | null} */ (/** @type {HTMLVideoElement} */ (video).srcObject)?.getVideoTracks()[0]?.getSettings().height);
  assert.equal(await until("the camera is on", height), 360);
  await anna.page.evaluate(() => localStorage.clear());
}));

test("the language can be changed, and is remembered", CASE, people(["Anna"], async (anna) => {
  await anna.reads("#join", "Join with camera");
  await anna.page.select("#preferences select", "ko");
  await anna.reads("#join", "카메라로 참여");
  await anna.page.reload({ waitUntil: "load" });
  await anna.reads("#join", "카메라로 참여");
  assert.equal(await anna.page.$eval("html", (html) => html.lang), "ko");
  await anna.page.select("#language", "en");
  await anna.reads("#join", "Join with camera");
}));

test("everything can be done with the keyboard alone", CASE, people(["Anna"], async (anna) => {
  const { keyboard } = anna.page;
  const focused = () => anna.page.evaluate(() => document.activeElement?.id ?? "");
  const tabTo = async (/** @type {string} */ id) => {
    for (let i = 0; i < 30 && (await focused()) !== id; i++) await keyboard.press("Tab");
    assert.equal(await focused(), id, `Tab leads to #${id}`);
    const outline = await anna.page.evaluate(() => getComputedStyle(/** @type {Element} */ (document.activeElement)).outlineWidth);
    assert.equal(outline, "3px", `#${id} shows that it has the focus`);
  };
  await keyboard.type("keys");
  await keyboard.press("Enter");
  await anna.entered();
  for (const id of ["copy", "people", "invite", "link", "mic", "camera", "settings"]) await tabTo(id);
  await keyboard.press("Enter");
  await until("the settings are open", () => anna.page.$("#panel-settings:not([hidden])"));
  await tabTo("language");
  await keyboard.press("Escape");
  assert.equal(await anna.page.$("#panel-settings:not([hidden])"), null, "Escape closes them");
  assert.equal(await focused(), "settings", "and the focus is where it was");
  await tabTo("leave");
  await keyboard.press("Enter");
  await anna.reads("#ended-title", "You left the room.");
  assert.equal(await focused(), "ended-title", "what changed is read out");
  await tabTo("rejoin");
  await keyboard.press("Enter");
  await anna.entered();
}));

test("the page loads nothing from elsewhere and runs nothing inline", CASE, people(["Anna"], async (anna) => {
  const loaded = await anna.page.evaluate(() => performance.getEntriesByType("resource").map((entry) => entry.name));
  assert.ok(loaded.length >= 5, `it loads ${loaded}`);
  for (const name of loaded) assert.equal(new URL(name).origin, box.url);
  anna.forgiven = /policy: require-trusted-types-for|TrustedHTML/;
  const markup = await anna.page.evaluate(() => {
    try {
      document.body.insertAdjacentHTML("beforeend", "<b>markup</b>");
      return "made";
    } catch (error) {
      return /** @type {Error} */ (error).name;
    }
  });
  assert.equal(markup, "TypeError", "text is never markup");
  const answer = await anna.page.goto(box.url);
  const policy = answer?.headers()["content-security-policy"] ?? "";
  assert.match(policy, /default-src '(none|self)'/);
  assert.doesNotMatch(policy, /unsafe/);
}));
