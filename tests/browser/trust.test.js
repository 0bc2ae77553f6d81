/** How a device comes to trust the box: by a page that came without TLS, which looks whether it does, and then goes on. */

import assert from "node:assert/strict";
import { copyFile, mkdir, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { forOthers, roomOf, wanted } from "../../src/web/page/trust-place.js";
import { platformOf } from "../../src/web/page/trust-steps.js";
import { Box } from "./support/box.js";
import { KINDS, TestBrowser } from "./support/browsers.js";
import { look } from "./support/gallery.js";
import { outerAddress } from "./support/outer.js";
import { scan } from "./support/scan.js";
import { explained, Tab, until } from "./support/tab.js";
import { Wire } from "./support/wire.js";

/** @import { Kind } from "./support/browsers.js" */
/**
 * @typedef {object} Scene
 * @property {Kind} kind
 * @property {(path: string) => Promise<Tab>} trusting a browser that trusts the box opens a path of it, without TLS
 * @property {(path: string) => Promise<Tab>} doubting so does one that does not
 * @property {(url: string) => Promise<Tab>} open in the browser that trusts
 */

const CASE = { timeout: 60_000 };
/** Each state is looked at eight times. */
const LOOKS = { timeout: 240_000 };
const EVERYWHERE = { LANTURN__LISTEN__ADDRESSES: "0.0.0.0:0" };
/** What browsers log about a box that they do not trust, and about a header that a page without TLS may not send. */
const DOUBTS = /ERR_CERT_AUTHORITY_INVALID|wss:|Cross-Origin-Opener-Policy/;

/** @type {Box} */
let box;
/** One with a certificate of its owner's, which the first one's authority signed. @type {Box} */
let owned;
/** @type {Record<"trusting" | "doubting", Partial<Record<Kind, TestBrowser>>>} */
const browsers = { trusting: {}, doubting: {} };

before(async () => {
  box = await Box.start({ env: EVERYWHERE });
  const dir = await mkdtemp(join(tmpdir(), "lanturn-owned-"));
  await mkdir(join(dir, "certs"));
  for (const [from, to] of [["leaf.pem", "cert.pem"], ["leaf.key", "key.pem"]]) {
    await copyFile(join(box.dir, "certs", from), join(dir, "certs", to));
  }
  owned = await Box.start({ dir, env: EVERYWHERE });
  for (const kind of KINDS) {
    browsers.trusting[kind] = await TestBrowser.launch(kind, box.authority);
    browsers.doubting[kind] = await TestBrowser.launch(kind, null);
  }
}, { timeout: 120_000 });

after(async () => {
  for (const each of Object.values(browsers)) for (const browser of Object.values(each)) await browser.close();
  await owned?.stop();
  await box?.stop();
});

/** By an address that is no browser's own machine's. @param {string} scheme @param {{url: string}} [of] */
const at = (scheme, of = box) => `${scheme}://${outerAddress()}:${new URL(of.url).port}`;

/** @param {string} what @param {(scene: Scene) => Promise<void>} story @param {{timeout: number}} [limits] */
function inEach(what, story, limits = CASE) {
  for (const kind of KINDS) {
    test(`${kind}: ${what}`, limits, async () => {
      /** @type {Tab[]} */
      const tabs = [];
      const open = async (/** @type {"trusting" | "doubting"} */ who, /** @type {string} */ url) => {
        const tab = await Tab.open(/** @type {TestBrowser} */ (browsers[who][kind]), url, who);
        tab.forgiven = DOUBTS;
        tabs.push(tab);
        return tab;
      };
      try {
        await story({
          kind,
          trusting: (path) => open("trusting", at("http") + path),
          doubting: (path) => open("doubting", at("http") + path),
          open: (url) => open("trusting", url),
        });
        for (const tab of tabs) await tab.close();
      } catch (error) {
        throw await explained(error, box, ...tabs);
      } finally {
        for (const tab of tabs) await tab.page.close().catch(() => {});
      }
    });
  }
}

const printed = () => box.log.match(/fingerprint of the authority:\s+(\S+)/)?.[1];
const platform = (/** @type {Tab} */ tab) => tab.page.$eval("[name=platform]:checked", (radio) => /** @type {HTMLInputElement} */ (radio).value);
const linkOf = (/** @type {Tab} */ tab, /** @type {string} */ selector) => tab.page.$eval(selector, (link) => /** @type {HTMLAnchorElement} */ (link).href);

/** Waits until the call page is there: only then is its tab asked again. @param {Tab} tab @param {string} url */
async function arrives(tab, url) {
  await until(`${tab.who} is at ${url}`, async () => tab.page.url() === url);
  await until("the call page is there", () => tab.page.$("#room").catch(() => null));
}

inEach("who does not trust the box is told how, sees that it does not work yet, and may go on all the same", async ({ kind, doubting }) => {
  const anna = await doubting("/r/%EB%B6%80%EC%97%8C?policy=relay#invite=secret");
  await anna.reads("#verdict-https", "not yet");
  await anna.reads("#verdict-wss", "not yet");
  await anna.reads("#result", /does not trust the box yet/);
  assert.equal(await platform(anna), kind === "firefox" ? "firefox" : "linux");
  await anna.reads("#steps", kind === "firefox" ? /Firefox asks/ : /In Chrome or Chromium/);
  await anna.reads("#fingerprint", /** @type {string} */ (printed()));
  await anna.reads("#onward", "To the room 부엌 all the same");
  assert.equal(await linkOf(anna, "#onward"), `${at("https")}/r/%EB%B6%80%EC%97%8C?policy=relay#invite=secret`);
  await until("the code is this page, without what is secret", async () =>
    (await scan(anna, "qr").catch(() => "")) === `${at("http")}/r/%EB%B6%80%EC%97%8C`);
  await anna.reads("#other-address", `${at("http")}/r/부엌`);
  assert.equal(anna.page.url().startsWith("http:"), true, "it has not gone on");
});

inEach("each kind of device has its steps and its file, by keyboard too", async ({ doubting }) => {
  const anna = await doubting("/trust");
  await until("the steps are there", () => anna.page.$("#steps li"));
  await anna.page.focus("[name=platform]:checked");
  const seen = [];
  for (let i = 0; i < 6; i++) {
    seen.push(`${await platform(anna)} ${await linkOf(anna, "#get")}`);
    await anna.page.keyboard.press("ArrowRight");
  }
  assert.deepEqual(seen.sort(), ["android", "firefox", "ios", "linux", "macos", "windows"].map((each) =>
    `${each} ${at("http")}/${each === "ios" ? "lanturn.mobileconfig" : "ca.crt"}`));
});

inEach("who trusts it comes to the room that was wanted, with all that its address says", async ({ trusting }) => {
  const path = `/r/${encodeURIComponent("가족 방")}?policy=relay#invite=no-invite&role=viewer`;
  const anna = await trusting(path);
  await arrives(anna, at("https") + path);
  const field = () => anna.page.$eval("#room", (input) => /** @type {HTMLInputElement} */ (input).value);
  await until("its room is filled in", async () => (await field()) === "가족 방");
  await arrives(await trusting("/trust"), `${at("https")}/`);
});

inEach("it goes on by itself as soon as it works", async ({ open }) => {
  const wire = await Wire.to(box, "0.0.0.0");
  try {
    wire.refusesTls = true;
    const anna = await open(`http://${outerAddress()}:${wire.port}/r/kitchen`);
    anna.forgiven = /./;
    await anna.reads("#result", /does not trust the box yet/);
    wire.refusesTls = false;
    await arrives(anna, `https://${outerAddress()}:${wire.port}/r/kitchen`);
  } finally {
    wire.stop();
  }
});

inEach("over https it stays, and shows the way to others without it", async ({ open }) => {
  const anna = await open(`${at("https")}/trust`);
  await anna.reads("#result", "It works on this device.");
  await until("the code is the address without TLS", async () => (await scan(anna, "qr").catch(() => "")) === `${at("http")}/trust`);
  assert.equal(await linkOf(anna, "#onward"), `${at("https")}/`);
});

inEach("with a certificate of the owner's there is nothing to trust", async ({ kind, open }) => {
  await arrives(await open(`${at("http", owned)}/trust`), `${at("https", owned)}/`);
  const ben = await Tab.open(/** @type {TestBrowser} */ (browsers.doubting[kind]), `${at("http", owned)}/trust`, "Ben");
  await ben.reads("#trust-title", "To the call page");
  await ben.reads("#trust-lead", /nothing to trust/);
  await ben.reads("#result", /does not work yet/);
  assert.equal(await ben.page.$("#steps-card:not([hidden])"), null);
  await ben.page.close();
});

inEach("looks", async ({ kind, doubting, open }) => {
  const anna = await doubting("/r/kitchen");
  await anna.reads("#verdict-wss", "not yet");
  await until("the code is drawn", () => anna.page.$("#qr:not([hidden])"));
  await look(anna, "29-trust");
  await anna.page.click("[name=platform][value=ios] + span");
  await look(anna, "30-trust-ios");
  const ben = await open(`${at("https")}/trust`);
  await ben.reads("#result", "It works on this device.");
  await look(ben, "31-trust-works");
  const chloe = await open("about:blank");
  await chloe.page.evaluateOnNewDocument(() => {
    class Failing extends EventTarget {
      constructor() {
        super();
        queueMicrotask(() => this.dispatchEvent(new Event("error")));
      }
      close() {}
    }
    globalThis.WebSocket = /** @type {any} */ (Failing);
  });
  await chloe.page.goto(`${at("http")}/trust`);
  await chloe.reads("#result", /opens, but the rooms do not yet/);
  await look(chloe, "32-trust-half");
  const dora = await Tab.open(/** @type {TestBrowser} */ (browsers.doubting[kind]), `${at("http", owned)}/trust`, "Dora");
  await dora.reads("#result", /does not work yet/);
  await look(dora, "33-trust-own");
  await dora.page.close();
}, LOOKS);

test("a device is known by what its browser calls itself", () => {
  for (const [platform, userAgent, maxTouchPoints] of /** @type {const} */ ([
    ["ios", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Version/18.1 Mobile/15E148 Safari/604.1", 5],
    ["ios", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.1 Safari/605.1.15", 5],
    ["macos", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.1 Safari/605.1.15", 0],
    ["android", "Mozilla/5.0 (Linux; Android 10; K) Chrome/131.0.0.0 Mobile Safari/537.36", 5],
    ["android", "Mozilla/5.0 (Android 14; Mobile; rv:133.0) Gecko/133.0 Firefox/133.0", 5],
    ["windows", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0", 0],
    ["linux", "Mozilla/5.0 (X11; Linux x86_64) Chrome/131.0.0.0 Safari/537.36", 0],
    ["firefox", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", 0],
    ["firefox", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:133.0) Gecko/20100101 Firefox/133.0", 0],
  ])) {
    assert.equal(platformOf({ userAgent, maxTouchPoints }), platform, userAgent);
  }
});

test("an address leads to the page that was wanted, and others to this one", () => {
  for (const [here, there, others] of [
    ["http://192.168.1.5:3478/trust?x#y", "https://192.168.1.5:3478/", "http://192.168.1.5:3478/trust"],
    ["http://box.local/r/a%20b#invite=x", "https://box.local/r/a%20b#invite=x", "http://box.local/r/a%20b"],
    ["http://192.168.1.5:443/", "https://192.168.1.5/", "http://192.168.1.5:443/"],
    ["https://192.168.1.5/trust", "https://192.168.1.5/", "http://192.168.1.5:443/trust"],
    ["https://[fd00::5]:3478/trust", "https://[fd00::5]:3478/", "http://[fd00::5]:3478/trust"],
  ]) {
    assert.deepEqual([wanted(here).href, forOthers(here)], [there, others], here);
  }
  assert.equal(roomOf(new URL("https://box/r/%EB%B6%80%EC%97%8C")), "부엌");
  assert.deepEqual(["https://box/", "https://box/r/%FF", "https://box/r/a/b"].map((url) => roomOf(new URL(url))), ["", "", ""]);
});
