/**
 * Whoever steals the key of a box's authority still signs for no site of the internet: browsers that trust it refuse a
 * certificate that is good for one as well.
 */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { Box } from "./support/box.js";
import { KINDS, TestBrowser } from "./support/browsers.js";

const run = promisify(execFile);
/** What Chromium and Firefox say of a name that the authority may not sign for. */
const REFUSED = /ERR_CERT_INVALID|SEC_ERROR_CERT_NOT_IN_NAME_SPACE/;

/** @type {Box} */
let box;
/** @type {string} */
let dir;

before(async () => {
  box = await Box.start();
  dir = await mkdtemp(join(tmpdir(), "lanturn-forged-"));
});

after(async () => {
  await box?.stop();
  if (dir) await rm(dir, { recursive: true });
});

/** A site of the thief's, with a certificate by the box's authority. @param {string[]} names as `subjectAltName` has them */
async function site(names) {
  const at = (/** @type {string} */ file) => join(dir, file);
  const authority = (/** @type {string} */ file) => join(box.dir, "certs", file);
  await writeFile(at("extensions"), `subjectAltName=${names.join(",")}\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n`);
  await run("openssl", ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=forged",
    "-keyout", at("key.pem"), "-out", at("request.pem")]);
  await run("openssl", ["x509", "-req", "-in", at("request.pem"), "-CA", authority("ca.pem"), "-CAkey", authority("ca.key"),
    "-days", "30", "-extfile", at("extensions"), "-out", at("cert.pem")]);
  const [key, cert] = await Promise.all([readFile(at("key.pem")), readFile(at("cert.pem"))]);
  const server = createServer({ key, cert }, (_, response) => response.end("the thief's page"));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(null)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return { url: `https://127.0.0.1:${port}/`, close: () => void server.close().closeAllConnections() };
}

/**
 * What a browser makes of such a site, in a tab of its own: Firefox says nothing more of a tab that shows an error.
 * @param {TestBrowser} browser @param {string[]} names
 */
async function visit(browser, names) {
  const { url, close } = await site(names);
  const page = await browser.browser.newPage();
  try {
    await page.goto(url);
    return await page.evaluate(() => document.body.textContent);
  } finally {
    await page.close();
    close();
  }
}

for (const kind of KINDS) {
  test(`${kind}: a stolen authority signs for no site of the internet`, async () => {
    const browser = await TestBrowser.launch(kind, box.authority);
    try {
      assert.equal(await visit(browser, ["IP:127.0.0.1", "DNS:localhost"]), "the thief's page", "what it may sign for");
      for (const other of ["DNS:example.org", "DNS:www.example.com", "IP:203.0.113.7"]) {
        await assert.rejects(visit(browser, ["IP:127.0.0.1", other]), REFUSED, other);
      }
    } finally {
      await browser.close();
    }
  });
}
