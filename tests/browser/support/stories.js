/** Stories of people at the page, told in both browsers. */

import { bothBrowsers } from "./both.js";
import { explained, Tab } from "./tab.js";

/** @import { Box } from "./box.js" */
/** @import { Kind, TestBrowser } from "./browsers.js" */
/**
 * @typedef {object} Scene
 * @property {Box} box
 * @property {TestBrowser} browser
 * @property {Kind} kind
 * @property {string} room one of the story's own
 * @property {(who: string, url?: string) => Promise<Tab>} open
 * @property {(...others: string[]) => Promise<Tab[]>} call Anna and the others are in the room and see each other
 */

/** @param {{timeout: number}} [limits] ms @returns {(what: string, story: (scene: Scene) => Promise<void>) => void} */
export function stories(limits) {
  const inEach = bothBrowsers(limits);
  return (what, story) => inEach(what, async (box, browser, kind) => {
    /** @type {Tab[]} */
    const tabs = [];
    const room = `${what.slice(0, 40)} ${kind}`;
    const open = async (/** @type {string} */ who, url = box.url) => {
      const tab = await Tab.open(browser, url, who);
      tabs.push(tab);
      return tab;
    };
    const call = async (/** @type {string[]} */ ...others) => {
      const here = [];
      for (const who of ["Anna", ...others]) here.push(await open(who));
      for (const tab of here) await tab.join(room);
      for (const tab of here) await tab.sees(others.length);
      await here[0].page.bringToFront();
      return here;
    };
    try {
      await story({ box, browser, kind, room, open, call });
      for (const tab of tabs) await tab.close();
    } catch (error) {
      throw await explained(error, box, ...tabs);
    } finally {
      for (const tab of tabs) await tab.page.close().catch(() => {});
    }
  });
}
