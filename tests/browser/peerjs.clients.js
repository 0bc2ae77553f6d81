/** PeerJS from npm, on a page of another site: calls, data, and what its clients are told when something is wrong. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { reading, summary } from "../../src/web/stats.js";
import { Box } from "./support/box.js";
import { TestBrowser } from "./support/browsers.js";
import { Site } from "./support/site.js";
import { explained, Tab, until } from "./support/tab.js";

const CASE = { timeout: 90_000 };

/** @type {Site} */
let site;
/** @type {Box} */
let box;
/** @type {TestBrowser} */
let browser;

before(async () => {
  site = await Site.start();
  box = await Box.start({ env: { LANTURN__ROOMS__ORIGINS: site.origin } });
  site.box = box;
  browser = await TestBrowser.launch("chromium", box.authority);
}, { timeout: 120_000 });

after(async () => {
  await browser?.close();
  await box?.stop();
  site?.stop();
});

class PeerTab extends Tab {
  /** @param {string} who @param {string} [id] */
  static async enter(who, id) {
    const tab = await Tab.open(browser, `${site.origin}/peerjs.html`, who);
    Object.setPrototypeOf(tab, PeerTab.prototype);
    const page = /** @type {PeerTab} */ (tab);
    // PeerJS logs the errors that it tells the page as well.
    page.forgiven = /^ERROR PeerJS:|^JSHandle/;
    await page.read(`open(${JSON.stringify(id)})`);
    return page;
  }

  /** @param {string} expression @returns {Promise<any>} what it is in the page */
  async read(expression) {
    return this.page.evaluate(expression);
  }

  async isOpen() {
    await until(`${this.who} is open`, () => this.read("peer.open"));
    return this.read("peer.id");
  }

  /** @param {string} type */
  async fails(type) {
    await until(`${this.who} is told ${type}`, () => this.read(`errors.includes(${JSON.stringify(type)})`));
  }

  /** @override */
  async stats() {
    const reports = await this.read("call?.peerConnection?.getStats().then((report) => [...report])");
    return reports ? [summary(reading(/** @type {any} */ (new Map(reports))))] : [];
  }
}

test("a call through the relay outlives the connection to the server, and data flows beside it", CASE, async () => {
  const anna = await PeerTab.enter("Anna", "anna");
  const ben = await PeerTab.enter("Ben");
  try {
    assert.equal(await anna.isOpen(), "anna");
    const benId = await ben.isOpen();
    assert.match(benId, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    await ben.read("ring('anna')");
    await Promise.all([anna.sees(), ben.sees()]);
    for (const tab of [anna, ben]) assert.equal((await tab.pair()).localType, "relay", `${tab.who}'s address`);

    await anna.read("peer.disconnect()");
    await anna.read("peer.reconnect()");
    assert.equal(await anna.isOpen(), "anna");
    await Promise.all([anna.sees(), ben.sees()]);
    await ben.read("greet('anna')");
    await until("Ben is greeted back", () => ben.read("heard.includes('hello yourself')"));
    assert.deepEqual(await anna.read("heard"), ["hello"]);
    assert.deepEqual(await anna.read("errors"), []);
    assert.deepEqual(await ben.read("errors"), []);
    await anna.close();
    await ben.close();
  } catch (error) {
    throw await explained(error, box, anna, ben);
  } finally {
    for (const tab of [anna, ben]) await tab.page.close().catch(() => {});
  }
});

test("an id that somebody else goes by is unavailable, until that one goes", CASE, async () => {
  const anna = await PeerTab.enter("Anna", "the only one");
  try {
    await anna.isOpen();
    const eve = await PeerTab.enter("Eve", "the only one");
    await eve.fails("unavailable-id");
    await eve.close();
    await anna.close();
    const ben = await PeerTab.enter("Ben", "the only one");
    assert.equal(await ben.isOpen(), "the only one");
    await ben.close();
  } catch (error) {
    throw await explained(error, box, anna);
  } finally {
    await anna.page.close().catch(() => {});
  }
});

test("who calls an id that nobody goes by is told so, and may come before the one who is called", CASE, async () => {
  const anna = await PeerTab.enter("Anna", "early");
  try {
    await anna.isOpen();
    await anna.read("greet('nobody')");
    await anna.fails("peer-unavailable");
    await anna.read("greet('late')");
    const ben = await PeerTab.enter("Ben", "late");
    await until("Anna is greeted back", () => anna.read("heard.includes('hello yourself')"));
    assert.deepEqual(await anna.read("errors"), ["peer-unavailable"]);
    await anna.close();
    await ben.close();
  } catch (error) {
    throw await explained(error, box, anna);
  } finally {
    await anna.page.close().catch(() => {});
  }
});
