/** y-webrtc from npm, on pages of another site: what is written in one browser is there in the other. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Box } from "./support/box.js";
import { TestBrowser } from "./support/browsers.js";
import { Site } from "./support/site.js";
import { explained, Tab, until } from "./support/tab.js";

const CASE = { timeout: 90_000 };

/** @type {Site} */
let site;
/** @type {Box} */
let box;
/** Two of them: pages of one browser would find each other without a server. @type {TestBrowser[]} */
const browsers = [];

before(async () => {
  site = await Site.start();
  box = await Box.start({ env: { LANTURN__ROOMS__ORIGINS: site.origin } });
  site.box = box;
  for (let i = 0; i < 2; i++) browsers.push(await TestBrowser.launch("chromium", box.authority));
}, { timeout: 120_000 });

after(async () => {
  for (const browser of browsers) await browser.close();
  await box?.stop();
  site?.stop();
});

class Writer extends Tab {
  /** @param {TestBrowser} browser @param {string} who @param {[string, string?][]} documents their names and passwords */
  static async enter(browser, who, documents) {
    const tab = await Tab.open(browser, `${site.origin}/y-webrtc.html`, who);
    Object.setPrototypeOf(tab, Writer.prototype);
    const page = /** @type {Writer} */ (tab);
    await until(`${who}'s modules are there`, () => page.page.evaluate("Boolean(globalThis.share)"));
    for (const document of documents) {
      await page.page.evaluate(`share(${document.map((each) => JSON.stringify(each)).join()})`);
    }
    return page;
  }

  /** @param {string} document @param {string} text */
  async writes(document, text) {
    await this.page.evaluate(`documents[${JSON.stringify(document)}].text.insert(0, ${JSON.stringify(text)})`);
  }

  /** @param {string} document @param {string} text */
  async finds(document, text) {
    const read = `documents[${JSON.stringify(document)}].text.toString()`;
    await until(`${this.who} finds ${text} in ${document}`, async () => (await this.page.evaluate(read)) === text);
  }
}

test("documents are the same in both browsers, through the relay, and each is one of its own", CASE, async () => {
  /** @type {[string, string?][]} */
  const documents = [["notes"], ["Notes", "a password"]];
  const anna = await Writer.enter(browsers[0], "Anna", documents);
  const ben = await Writer.enter(browsers[1], "Ben", documents);
  try {
    await anna.writes("notes", "milk");
    await ben.writes("Notes", "secret");
    await ben.finds("notes", "milk");
    await anna.finds("Notes", "secret");
    await ben.writes("notes", "bread, ");
    await anna.finds("notes", "bread, milk");
    await ben.finds("Notes", "secret");
    for (const tab of [anna, ben]) {
      for (const [name] of documents) {
        assert.deepEqual(await tab.page.evaluate(`paths(${JSON.stringify(name)})`), ["relay"], `${tab.who}'s ${name}`);
      }
      await tab.close();
    }
  } catch (error) {
    throw await explained(error, box, anna, ben);
  } finally {
    for (const tab of [anna, ben]) await tab.page.close().catch(() => {});
  }
});
