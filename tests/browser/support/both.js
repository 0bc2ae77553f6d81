/** One box and both browsers, for all tests of a file. */

import { after, before, test } from "node:test";
import { Box } from "./box.js";
import { KINDS, TestBrowser } from "./browsers.js";

/** @import { Kind } from "./browsers.js" */
/** @typedef {(box: Box, browser: TestBrowser, kind: Kind) => Promise<void>} Story */

const CASE = { timeout: 60_000 };

/**
 * Gives back what makes a test for each browser of a name and a story.
 * @param {{timeout: number}} [limits] ms @returns {(what: string, story: Story) => void}
 */
export function bothBrowsers(limits = CASE) {
  /** @type {Box} */
  let box;
  /** @type {Partial<Record<Kind, TestBrowser>>} */
  const browsers = {};

  before(async () => {
    box = await Box.start();
    for (const kind of KINDS) browsers[kind] = await TestBrowser.launch(kind, box.authority);
  }, { timeout: 120_000 });

  after(async () => {
    for (const browser of Object.values(browsers)) await browser.close();
    await box?.stop();
  });

  return (what, story) => {
    for (const kind of KINDS) {
      test(`${kind}: ${what}`, limits, () => story(box, /** @type {TestBrowser} */ (browsers[kind]), kind));
    }
  };
}
