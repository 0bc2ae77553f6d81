/** A site of another origin whose pages the box lets in, with that box and the browsers: for all tests of a file. */

import { createServer } from "node:http";
import { after, before } from "node:test";
import { Box } from "./box.js";
import { KINDS, TestBrowser } from "./browsers.js";

/** @import { AddressInfo } from "node:net" */
/** @import { RequestListener } from "node:http" */
/** @import { Kind } from "./browsers.js" */
/** @typedef {{origin: string, box: Box, browsers: Record<Kind, TestBrowser>}} There */

/**
 * What it gives back is filled in before the first test.
 * @param {RequestListener} answer what the site says
 * @param {{kinds?: Kind[], prepare?: (there: There) => Promise<void>}} [options] which browsers, and what the site needs
 */
export function elsewhere(answer, { kinds = KINDS, prepare } = {}) {
  const there = /** @type {There} */ ({ origin: "", browsers: {} });
  const site = createServer(answer);

  before(async () => {
    await new Promise((resolve) => site.listen(0, "127.0.0.1", () => resolve(undefined)));
    there.origin = `http://localhost:${/** @type {AddressInfo} */ (site.address()).port}`;
    there.box = await Box.start({ env: { LANTURN__ROOMS__ORIGINS: there.origin } });
    await prepare?.(there);
    for (const kind of kinds) there.browsers[kind] = await TestBrowser.launch(kind, there.box.authority);
  }, { timeout: 120_000 });

  after(async () => {
    for (const browser of Object.values(there.browsers)) await browser.close();
    await there.box?.stop();
    site.closeAllConnections();
    site.close();
  });

  return there;
}
