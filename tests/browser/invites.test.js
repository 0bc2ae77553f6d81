/** Ways into a room besides typing its name: links, codes, roles; and ways back. */

import assert from "node:assert/strict";
import { Box } from "./support/box.js";
import { scan } from "./support/scan.js";
import { stories } from "./support/stories.js";
import { Tab, until } from "./support/tab.js";

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
