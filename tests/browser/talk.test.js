/** What goes beside sound and pictures: text and files, the screen, who is heard. */

import assert from "node:assert/strict";
import { Member } from "./support/member.js";
import { stories } from "./support/stories.js";
import { Tab, until } from "./support/tab.js";

const story = stories();

/** @param {Tab} tab @param {string} text */
async function write(tab, text) {
  await tab.canWrite();
  await tab.open("#chat");
  await tab.type("#chat-text", text);
  await tab.page.keyboard.press("Enter");
}

/** @param {Tab} tab */
const lastSaid = (tab) => tab.page.$eval("#talk", (talk) => /** @type {HTMLElement | null} */ (talk.querySelector(".said:last-child"))?.innerText ?? "");

story("what is written is read by all, as text, and counted until it is", async ({ call }) => {
  const [anna, ben] = await call("Ben");
  await write(anna, "<b>two</b>");
  await until("Ben has one unread", async () => (await ben.text("#unread")).startsWith("1"));
  await ben.hears("Anna wrote: <b>two</b>");
  await ben.open("#chat");
  await until("Ben reads it", async () => /^Anna.*<b>two<\/b>/s.test(await lastSaid(ben)));
  assert.equal(await ben.page.$("#unread:not([hidden])"), null);
  await write(ben, "yes");
  await until("Anna reads the answer", async () => /^Ben.*yes/s.test(await lastSaid(anna)));
});

story("a file that is dropped comes whole to who accepts it", async ({ call }) => {
  const [anna, ben] = await call("Ben");
  await anna.canWrite();
  await anna.page.evaluate(() => {
    const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7) % 251);
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], "plan <1>.bin", { type: "text/html" }));
    document.body.dispatchEvent(new DragEvent("dragover", { dataTransfer, bubbles: true, cancelable: true }));
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
  });
  await ben.open("#chat");
  await until("Ben is offered it", async () => /^Anna.*plan <1>\.bin/s.test(await lastSaid(ben)));
  await ben.page.evaluate(() => {
    const make = URL.createObjectURL.bind(URL);
    URL.createObjectURL = (whole) => {
      lanturn.saved = whole;
      return make(whole);
    };
  });
  await ben.click("#talk .primary");
  await until("Ben can save it", () => ben.page.$("#talk a[download]"));
  const came = await ben.page.$eval("#talk a", async (link) => {
    const { href, download } = /** @type {HTMLAnchorElement} */ (link);
    const bytes = new Uint8Array(await lanturn.saved.arrayBuffer());
    return { download, isBlob: href.startsWith("blob:"), right: bytes.every((byte, i) => byte === (i * 7) % 251), size: bytes.length, type: lanturn.saved.type };
  });
  assert.deepEqual(came, { download: "plan <1>.bin", isBlob: true, right: true, size: 300_000, type: "application/octet-stream" });
  await anna.open("#chat");
  await until("Anna is told", async () => /done/.test(await lastSaid(anna)));
});

story("of a long talk the oldest goes, and a file with it", async ({ call }) => {
  const [anna, ben] = await call("Ben");
  await ben.canWrite();
  await ben.page.evaluate(() => {
    [lanturn.offer] = lanturn.room.sendFile(new File(["x"], "old.bin"));
  });
  await until("Anna is offered it", async () => (await anna.text("#talk")).includes("old.bin") || anna.open("#chat").then(() => false));
  await ben.page.evaluate(() => {
    for (let i = 0; i < 500; i++) lanturn.room.say(`line ${i}`);
  });
  await until("Ben's file is refused", () => ben.page.evaluate(() => lanturn.offer.state === "refused"));
  assert.equal(await anna.page.$$eval("#talk .said", (entries) => entries.length), 500);
});

story("who mutes is seen to, and keeps the microphone", async ({ call }) => {
  const [anna, ben] = await call("Ben");
  const silent = () => anna.page.$(".tile:not(.self) .silent:not([hidden])");
  assert.equal(await silent(), null);
  await ben.click("#mic");
  await until("Anna sees that Ben is mute", silent);
  assert.equal(await ben.page.evaluate(() => lanturn.room.media.track("audio")?.readyState), "live");
  await ben.click("#mic");
  await until("Anna sees that he is not any more", async () => (await silent()) === null);
  await anna.sees();
});

story("a screen comes beside the camera, large, and goes again", async ({ call }) => {
  const [anna, ben] = await call("Ben");
  await ben.share();
  await ben.hears("You share your screen now.");
  await anna.hears("Ben shares a screen now.");
  await anna.page.bringToFront();
  const plays = () => anna.page.$$eval(".tile.screen video", ([video]) => video instanceof HTMLVideoElement && video.videoWidth > 0 && video.currentTime > 0);
  await until("Anna sees Ben's screen", plays);
  const areas = await anna.page.$$eval("#grid > .tile", (tiles) => tiles.map((tile) => [tile.classList.contains("screen"), tile.clientWidth * tile.clientHeight]));
  const [largest] = areas.sort((a, b) => Number(b[1]) - Number(a[1]));
  assert.equal(largest[0], true, `the screen is the largest: ${JSON.stringify(areas)}`);
  await anna.sees();
  await ben.page.bringToFront();
  await ben.page.click("#screen");
  await until("it is gone", async () => (await anna.page.$(".tile.screen")) === null);
  await ben.hears("You share no screen any more.");
  await anna.hears("Ben shares no screen any more.");
  await anna.sees();
});

story("a tile can be made large, and we ourselves hidden", async ({ call }) => {
  const [anna] = await call("Ben");
  const sizes = () => anna.page.$$eval("#grid > .tile:not([hidden])", (tiles) => tiles.map((tile) => tile.getBoundingClientRect().width));
  const press = async (/** @type {string} */ words) => {
    await anna.click(".tile:not(.self) .tile-more");
    await anna.page.$$eval("#tile-menu button", (items, words) => items.find((item) => item.textContent === words)?.click(), words);
  };
  await until("both are as large", async () => new Set(await sizes()).size === 1);
  await press("Pin");
  await until("Ben is larger", async () => (await sizes())[0] > 2 * (await sizes())[1]);
  await press("Unpin");
  await anna.page.hover(".tile:not(.self)");
  await anna.page.click(".tile:not(.self) .tile-more");
  await (await anna.page.$("#tile-menu ::-p-text(Full screen)"))?.click();
  await until("Ben has the whole screen", () => anna.page.evaluate(() => document.fullscreenElement?.matches(".tile:not(.self)")));
  await anna.page.evaluate(() => document.exitFullscreen());
  await until("both are as large again", async () => new Set(await sizes()).size === 1);
  await anna.click(".tile.self .tile-more");
  await anna.page.$$eval("#tile-menu button", (items) => items.find((item) => item.textContent === "Hide me")?.click());
  await until("only Ben is left", async () => (await sizes()).length === 1);
  await anna.open("#settings");
  await anna.click("#hide-self");
  await until("we are back", async () => (await sizes()).length === 2);
});

story("a tile goes into a window of its own where the browser has such, and comes back", async ({ call, kind }) => {
  const [anna] = await call("Ben");
  const press = async () => {
    await anna.page.hover(".tile:not(.self)");
    await anna.page.click(".tile:not(.self) .tile-more");
    const entry = await anna.page.$("#tile-menu ::-p-text(Picture in picture)");
    await entry?.click();
    return entry !== null;
  };
  const can = await anna.page.evaluate(() => document.pictureInPictureEnabled === true);
  assert.equal(await press(), can);
  // There may be browsers of its make that have none.
  assert.ok(can || kind === "firefox");
  if (!can) return;
  const away = () => anna.page.evaluate(() => document.pictureInPictureElement?.closest(".tile:not(.self)") != null);
  await until("Ben has a window", away);
  await press();
  await until("Ben is back", async () => !(await away()));
});

story("who sends to a crowd is told, on coming into one too", async ({ box, browser, open, room }) => {
  const crowd = [];
  try {
    for (let i = 0; i < 7; i++) crowd.push(await Member.open(browser, box.url, `viewer ${i}`));
    for (const viewer of crowd.slice(0, 6)) await viewer.enters(room, { role: "viewer" });
    const anna = await open("Anna");
    await anna.join(room);
    await anna.onAir();
    assert.equal(await anna.page.$eval("#notice", (each) => /** @type {HTMLElement} */ (each).hidden), true);
    await crowd[6].enters(room, { role: "viewer" });
    await anna.reads("#notice", /You send to 7 people/);
    await anna.click("#leave");
    await anna.click("#rejoin");
    await anna.entered();
    await anna.reads("#notice", /You send to 7 people/);
  } finally {
    for (const viewer of crowd) await viewer.page.close().catch(() => {});
  }
});
