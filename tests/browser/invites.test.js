/** Ways into a room besides typing its name: links, codes, roles; and ways back. */

import assert from "node:assert/strict";
import { Box } from "./support/box.js";
import { scan } from "./support/scan.js";
import { stories } from "./support/stories.js";
import { Tab, until } from "./support/tab.js";
import { Wire } from "./support/wire.js";

const story = stories();

const linkOf = (/** @type {Tab} */ tab) => tab.page.$eval("#invite-link", (input) => /** @type {HTMLInputElement} */ (input).value);

story("the invite's code is its link, for each role, and leads in past the PIN", async ({ open, room }) => {
  const anna = await open("Anna");
  await anna.join(room);
  await anna.open("#invite");
  await anna.type("#room-pin", "4711");
  await anna.page.keyboard.press("Enter");
  await anna.reads("#standing", "with PIN");
  /** @type {Record<string, string>} */
  const links = {};
  for (const role of ["viewer", "member"]) {
    await anna.click(`[name=invite-role][value=${role}]`);
    await until(`the code is the link of a ${role}`, async () => {
      const [link, seen] = [await linkOf(anna), await scan(anna, "invite-qr").catch(() => undefined)];
      return link.endsWith(`&role=${role}`) && link === seen;
    });
    links[role] = await linkOf(anna);
  }
  const ben = await open("Ben", links.viewer);
  await ben.reads("#lobby-title", "Watch a call");
  await ben.enter();
  await ben.sees();
  const chloe = await open("Chloe", links.member);
  await chloe.enter();
  await ben.sees(2);
  assert.equal(await chloe.page.evaluate(() => lanturn.room.self.role), "member");
});

story("the dice put a name into the field, and it is a room", async ({ open }) => {
  const [anna, ben] = [await open("Anna"), await open("Ben")];
  await anna.click("#suggest");
  await anna.enter();
  await anna.reads("#room-title", /^[a-z]+ [a-z]+ [a-z]+$/);
  await ben.join(await anna.text("#room-title"));
  await Promise.all([anna.sees(), ben.sees()]);
});

story("who left comes back with one press, and into another room with the other", async ({ call }) => {
  const [anna, ben] = await call("Ben");
  await ben.click("#leave");
  await ben.reads("#ended-title", "You left the room.");
  await ben.click("#rejoin");
  await ben.entered();
  await Promise.all([anna.sees(), ben.sees()]);
  await ben.click("#leave");
  await ben.reads("#ended-title", "You left the room.");
  await ben.join("another room");
  await anna.reads("#people", /^1 of/);
});

story("who was invited to watch can go on to another room, and take part there", async ({ open, room }) => {
  const anna = await open("Anna");
  await anna.join(room);
  await anna.open("#invite");
  await anna.click("[name=invite-role][value=viewer]");
  await until("there is a link", async () => (await linkOf(anna)).endsWith("&role=viewer"));
  const link = await linkOf(anna);
  const ben = await open("Ben", link);
  await ben.enter();
  await ben.click("#leave");
  await ben.click("#other-room");
  await ben.reads("#lobby-title", "Start or join a call");
  await ben.join(`${room} 2`);
  assert.equal(await ben.page.evaluate(() => lanturn.room.self.role), "member");
  await ben.onAir();
  const chloe = await open("Chloe", link);
  await chloe.join(`${room} 2`);
  await chloe.sees();
  assert.equal(new URL(chloe.page.url()).hash, "", "the invite is none to this room");
});

story("in a box that began anew, who came by an invite waits for whoever brings the PIN", async ({ open, box }) => {
  const first = await Box.start({ dir: box.dir });
  const wire = await Wire.to(first);
  try {
    const anna = await open("Anna", wire.url);
    await anna.join("anew");
    await anna.open("#invite");
    await anna.type("#room-pin", "4711");
    await anna.page.keyboard.press("Enter");
    await anna.reads("#standing", "with PIN");
    await until("there is a link", async () => (await linkOf(anna)) !== "");
    const ben = await open("Ben", (await linkOf(anna)).replace(wire.url, first.url));
    for (const tab of [anna, ben]) tab.forgiven = /wss:|ERR_|NetworkError/;
    await ben.enter();
    await Promise.all([anna.sees(), ben.sees()]);
    await ben.page.evaluate(() => {
      lanturn.reasons = [];
      lanturn.room.addEventListener("away", (/** @type {any} */ { detail }) => lanturn.reasons.push(detail.reason));
    });
    wire.deafen();
    await first.stop({ keep: true });
    const second = await Box.start({ dir: box.dir, env: { LANTURN__LISTEN__ADDRESSES: `127.0.0.1:${new URL(first.url).port}` } });
    try {
      await until("Ben's invite is refused", () => ben.page.evaluate(() => lanturn.room === null || lanturn.reasons.includes("bad-invite")));
      await ben.reads("#calm", /Trying again/);
      wire.cut();
      await Promise.all([anna.sees(), ben.sees()]);
      assert.equal(await ben.page.evaluate(() => lanturn.room.hasPin), true);
    } finally {
      await second.stop({ keep: true });
    }
  } finally {
    wire.stop();
    await first.stop({ keep: true });
  }
});

story("a box that is gone between the lobby and Join is told of, and once it is back all goes on", async ({ open, box, kind }) => {
  const first = await Box.start({ dir: box.dir });
  const [anna, ben] = [await open("Anna", first.url), await open("Ben", first.url)];
  for (const tab of [anna, ben]) tab.forgiven = /ERR_|NetworkError|wss:|Loading failed|error loading/;
  await first.stop({ keep: true });
  await anna.page.$eval("#room", (input) => ((/** @type {HTMLInputElement} */ (input).value = "gone")));
  await anna.click("#join");
  await anna.reads("#notice", /The box can't be reached/);
  await anna.reads("#join", "Join with camera");
  const second = await Box.start({ dir: box.dir, env: { LANTURN__LISTEN__ADDRESSES: `127.0.0.1:${new URL(first.url).port}` } });
  try {
    await anna.click("#join");
    // A browser that asks no more for what once did not come has the page loaded again, with the room in it.
    if (kind === "firefox") {
      await until("the page is loaded again", async () => new URL(anna.page.url()).pathname === "/r/gone" && (await anna.page.evaluate(() => globalThis.lanturn?.room === null && document.readyState === "complete")));
      await anna.click("#join");
    }
    await anna.entered();
    await ben.join("gone");
    await Promise.all([anna.sees(), ben.sees()]);
  } finally {
    await second.stop({ keep: true });
  }
});
