/** Ways into a room besides typing its name: links, codes, roles; and ways back. */

import assert from "node:assert/strict";
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
