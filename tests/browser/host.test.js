/** What the host of a room can do, PINs and invites, as the page shows them to everybody. */

import assert from "node:assert/strict";
import { bothBrowsers } from "./support/both.js";
import { explained, Tab, until } from "./support/tab.js";

const inEach = bothBrowsers();

/**
 * Anna is the host of a room; Ben stands before its door.
 * @param {string} what @param {(anna: Tab, ben: Tab, room: string) => Promise<void>} story
 */
function inBoth(what, story) {
  inEach(what, async (box, browser, kind) => {
    const [anna, ben] = [await Tab.open(browser, box.url, "Anna"), await Tab.open(browser, box.url, "Ben")];
    try {
      await anna.join(`${kind} ${what}`);
      await story(anna, ben, `${kind} ${what}`);
      await Promise.all([anna.close(), ben.close()]);
    } catch (error) {
      throw await explained(error, box, anna, ben);
    } finally {
      for (const tab of [anna, ben]) await tab.page.close().catch(() => {});
    }
  });
}

/** @param {Tab} host @param {string} pin */
async function setPin(host, pin) {
  await host.open("#invite");
  await host.type("#room-pin", pin);
  await host.page.keyboard.press("Enter");
  await host.reads("#standing", "with PIN");
}

/** @param {Tab} tab @param {"member" | "viewer"} role @returns {Promise<string>} the link */
async function inviteBy(tab, role) {
  await tab.open("#invite");
  await tab.click(`[name=invite-role][value=${role}]`);
  const link = () => tab.page.$eval("#invite-link", (input) => /** @type {HTMLInputElement} */ (input).value);
  await until(`${tab.who} has an invite`, async () => (await link()).endsWith(`&role=${role}`));
  return link();
}

inBoth("a PIN is asked for", async (anna, ben, room) => {
  await setPin(anna, "4711");
  await ben.type("#room", room);
  await ben.click("#join");
  for (const wrong of ["", "1234"]) {
    if (wrong) {
      await ben.type("#pin", wrong);
      await ben.click("#join");
    }
    await ben.reads("#notice", /The room has a PIN/);
    await until("Ben is asked", () => ben.page.evaluate(() => document.activeElement?.id === "pin"));
  }
  await ben.type("#pin", "4711");
  await ben.enter();
  await Promise.all([anna.sees(), ben.sees()]);
  await ben.reads("#standing", "with PIN");
});

inBoth("an invite to watch needs no PIN and no camera", async (anna, ben) => {
  await setPin(anna, "4711");
  const link = await inviteBy(anna, "viewer");
  /** @type {string[]} */
  const asked = [];
  ben.page.on("request", (request) => asked.push(request.url().replace(/#.*/, "")));
  await ben.page.evaluate(() => {
    navigator.mediaDevices.getUserMedia = async () => Promise.reject(new Error("a viewer is asked for nothing"));
  });
  await ben.page.goto(link, { waitUntil: "load" });
  await ben.reads("#invited", /No camera is needed/);
  await ben.enter();
  await ben.sees();
  await anna.reads(".tile:not(.self) .state", /watching/);
  assert.ok(asked.some((url) => url.includes("/r/")) && !asked.some((url) => url.includes("invite=")), `${asked}`);
  const hidden = await ben.page.$$eval("#mic, #camera", (buttons) => buttons.every((each) => /** @type {HTMLElement} */ (each).hidden));
  assert.ok(hidden, "a viewer has no camera to turn on");
});

inBoth("an invite that is none is told and given up", async (_, ben, room) => {
  await ben.page.goto(new URL(`/r/${encodeURIComponent(room)}#invite=1.viewer.none&role=viewer`, ben.page.url()).href, { waitUntil: "load" });
  await ben.page.reload({ waitUntil: "load" });
  await ben.click("#join");
  await ben.reads("#notice", /This invite is not good any more/);
  assert.equal(new URL(ben.page.url()).hash, "");
  await ben.enter();
  await ben.sees();
});

inBoth("a locked room lets nobody in until it is opened", async (anna, ben, room) => {
  await anna.click("#lock");
  await anna.reads("#standing", "locked");
  await ben.type("#room", room);
  await ben.click("#join");
  await ben.reads("#notice", /The host has locked the room/);
  await anna.click("#lock");
  await anna.reads("#standing", "");
  await ben.enter();
  await anna.sees();
});

inBoth("who is sent away is told so, and so are the others", async (anna, ben, room) => {
  await ben.join(room);
  await anna.sees();
  await ben.open("#people");
  assert.equal(await ben.page.$(".kick:not([hidden])"), null, "only the host can");
  await anna.open("#people");
  await anna.click(".kick:not([hidden])");
  await anna.reads("dialog .question", /^Send Ben away\?/);
  // Chromium takes the key to a page that is looked at.
  await anna.page.bringToFront();
  await anna.page.keyboard.press("Escape");
  await until("she is asked no more", async () => (await anna.page.$("dialog")) === null);
  assert.equal(await anna.page.evaluate(() => lanturn.room.peers.size), 1, "who was not sure has sent nobody away");
  await anna.click(".kick:not([hidden])");
  await anna.click("dialog .danger");
  await ben.reads("#ended-title", "The host sent you away.");
  await anna.reads("#people", /^1 of/);
  await anna.hears("Ben was sent away.");
});

inBoth("how the room stands is told to a screen reader each time", async (anna, ben, room) => {
  await ben.join(room);
  await setPin(anna, "4711");
  await ben.hears("The room has a PIN now.");
  for (const [standing, words] of [["locked · with PIN", "The room is locked now."], ["with PIN", "The room is open again."], ["locked · with PIN", "The room is locked now."]]) {
    await anna.click("#lock");
    await ben.reads("#standing", standing);
    await ben.hears(words);
  }
  const lines = await ben.page.$$eval("#live > *", (all) => all.map((line) => line.textContent).filter((text) => text?.startsWith("The room is")));
  assert.deepEqual(lines, ["The room is locked now.", "The room is open again.", "The room is locked now."]);
});

inBoth("a new host does not take the PIN away by saving, but by taking it away", async (anna, ben, room) => {
  await ben.join(room);
  await setPin(anna, "4711");
  await anna.click("#leave");
  await until("Ben is the host", () => ben.page.$("#host-tools:not([hidden])"));
  await ben.open("#invite");
  assert.equal(await ben.page.$eval("#room-pin", (input) => /** @type {HTMLInputElement} */ (input).placeholder), "unchanged");
  await ben.click("#pin-form [type=submit]");
  // The box answers in turn.
  await ben.click("#lock");
  await ben.reads("#standing", "locked · with PIN");
  await ben.click("#pin-remove");
  await ben.reads("#standing", "locked");
  await ben.hears("The room has no PIN any more.");
  assert.equal(await ben.page.$("#pin-remove:not([hidden])"), null);
});

inBoth("the panel never shows the link of the role before", async (anna) => {
  await inviteBy(anna, "member");
  await until("the code is drawn", () => anna.page.$("#invite-qr:not([hidden])"));
  await anna.page.evaluate(() => (lanturn.room.invite = () => new Promise((_, reject) => (lanturn.fail = () => reject(new Error("no"))))));
  await anna.click("[name=invite-role][value=viewer]");
  const shown = () => anna.page.evaluate(() => [
    /** @type {HTMLInputElement} */ (document.getElementById("invite-link")).value,
    document.getElementById("invite-qr")?.hidden,
    /** @type {HTMLButtonElement} */ (document.getElementById("invite-copy")).disabled,
  ]);
  assert.deepEqual(await shown(), ["", true, true], "while it is coming");
  await anna.page.evaluate(() => lanturn.fail());
  await anna.reads("#notice", /The invite could not be made/);
  assert.deepEqual(await shown(), ["", true, true], "when there is none");
});

inBoth("the next is host when the host leaves", async (anna, ben, room) => {
  await ben.join(room);
  const tools = () => ben.page.$eval("#host-tools", (each) => !/** @type {HTMLElement} */ (each).hidden);
  assert.equal(await tools(), false);
  await anna.click("#leave");
  await until("Ben is the host", tools);
});

inBoth("an invite that the box refuses takes no other with it", async (anna) => {
  const told = await anna.page.evaluate(async () => {
    const wanted = [{ ttl: 1e9 }, { role: "viewer" }, { role: "member", ttl: 0 }, { role: "member" }];
    const asked = await Promise.allSettled(wanted.map((each) => lanturn.room.invite(each)));
    return asked.map((each) => (each.status === "fulfilled" ? each.value.role : each.reason.id));
  });
  assert.deepEqual(told, ["bad-message", "viewer", "bad-message", "member"]);
});
