/**
 * A page in the style of the WebRTC codelab calls another one and lanturn's own page, with our client of Socket.IO and
 * with the ones from npm, whoever comes first and whenever the cameras come.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { elsewhere } from "./support/elsewhere.js";
import { explained, Tab, until } from "./support/tab.js";
import { reading, summary } from "../../src/web/stats.js";

const CASE = { timeout: 60_000 };
/** Frames on top of the first ones that make it video. */
const FRAMES = 10;
const BOX_IN_DOCS = "https://192.168.1.5:3478";
const PAGE = readFileSync(new URL("support/codelab.html", import.meta.url), "utf8");
const LIBRARIES = {
  "our own library": null,
  "socket.io-client 4": "node_modules/socket.io-client/dist/socket.io.js",
  "socket.io-client 2": "node_modules/socket.io-client-2/dist/socket.io.js",
};
/** @typedef {keyof typeof LIBRARIES} Library */
const OURS = "our own library";
const NAMES = /** @type {Library[]} */ (Object.keys(LIBRARIES));

let rooms = 0;

const there = elsewhere((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? "", "http://site");
  const library = LIBRARIES[/** @type {Library} */ (searchParams.get("library") ?? OURS)];
  const isLibrary = pathname === "/library.js" && library;
  response.setHeader("content-type", isLibrary ? "text/javascript" : "text/html; charset=utf-8");
  if (isLibrary) return response.end(readFileSync(new URL(library, import.meta.url)));
  if (pathname !== "/codelab") return response.end('<!doctype html><link rel="icon" href="data:,">');
  const script = `/library.js?library=${searchParams.get("library")}`;
  const page = library ? PAGE.replace(`${BOX_IN_DOCS}/socket.io/socket.io.js`, script) : PAGE;
  response.end(page.replaceAll(BOX_IN_DOCS, there.box.url));
}, { kinds: ["chromium"] });

/** One person at such a page. */
class Codelab extends Tab {
  /** @param {string} who @param {string} room @param {Record<string, string>} [options] */
  static async enter(who, room, options = {}) {
    const url = `${there.origin}/codelab?${new URLSearchParams({ room, ...options })}`;
    const tab = await Tab.open(there.browsers.chromium, url, who);
    Object.setPrototypeOf(tab, Codelab.prototype);
    const page = /** @type {Codelab} */ (tab);
    await until(`${who} is in the room`, () => page.read("isInitiator || isChannelReady"));
    return page;
  }

  /** @param {string} expression @returns {Promise<any>} what it is in the page */
  async read(expression) {
    return this.page.evaluate(expression);
  }

  async allowCamera() {
    await this.read("allowCamera()");
    await until(`${this.who} has a camera`, () => this.read("Boolean(localStream)"));
  }

  /** @override */
  async stats() {
    const reports = await this.read("pc ? pc.getStats().then((report) => [...report]) : []");
    return reports.length > 0 ? [summary(reading(/** @type {any} */ (new Map(reports))))] : [];
  }
}

/**
 * @param {(open: (who: string, options?: Record<string, string>) => Promise<Codelab>,
 *   native: (who: string, query?: string) => Promise<Tab>) => Promise<void>} story
 */
function meeting(story) {
  return async () => {
    /** @type {Tab[]} */
    const tabs = [];
    const room = `codelab ${++rooms}`;
    const keep = (/** @type {any} */ tab) => (tabs.push(tab), tab);
    try {
      await story(
        async (who, options) => keep(await Codelab.enter(who, room, options)),
        async (who, query = "") => {
          const tab = keep(await Tab.open(there.browsers.chromium, `${there.box.url}/r/${encodeURIComponent(room)}${query}`, who));
          await tab.enter();
          return tab;
        },
      );
      for (const tab of tabs) await tab.close();
    } catch (error) {
      throw await explained(error, there.box, ...tabs);
    } finally {
      for (const tab of tabs) await tab.page.close().catch(() => {});
    }
  };
}

for (const library of NAMES) {
  test(`${library}: two pages, whose cameras come in any order`, CASE, async () => {
    /** @type {Record<string, (open: (who: string) => Promise<Codelab>) => Promise<Codelab[]>>} */
    const orders = {
      async "each with a camera at once"(open) {
        const anna = await open("Anna");
        await anna.allowCamera();
        const ben = await open("Ben");
        await ben.allowCamera();
        return [anna, ben];
      },
      async "the first one's camera last"(open) {
        const [anna, ben] = [await open("Anna"), await open("Ben")];
        await ben.allowCamera();
        await anna.allowCamera();
        return [anna, ben];
      },
      async "the second one's camera last"(open) {
        const [anna, ben] = [await open("Anna"), await open("Ben")];
        await anna.allowCamera();
        await ben.allowCamera();
        return [anna, ben];
      },
    };
    for (const order of Object.values(orders)) {
      await meeting(async (open) => {
        const both = await order((who) => open(who, { library }));
        await Promise.all(both.map((tab) => tab.sees()));
      })();
    }
  });

  test(`${library}: with lanturn's own page, whoever comes first`, CASE, async () => {
    await meeting(async (open, native) => {
      const anna = await open("Anna", { library });
      await anna.allowCamera();
      const ben = await native("Ben");
      await Promise.all([anna.sees(), ben.sees()]);
    })();
    await meeting(async (open, native) => {
      const ben = await native("Ben");
      const anna = await open("Anna", { library });
      await anna.allowCamera();
      await Promise.all([anna.sees(), ben.sees()]);
    })();
  });
}

test("by polling alone", CASE, meeting(async (open, native) => {
  const anna = await open("Anna", { transports: "polling" });
  const ben = await native("Ben");
  await anna.allowCamera();
  await Promise.all([anna.sees(), ben.sees()]);
}));

for (const [way, isKeyed] of /** @type {[string, boolean][]} */ ([["of the room", false], ["of a key", true]])) {
  test(`two pages through the relay alone, with the credential ${way}`, CASE, meeting(async (open) => {
    const key = readFileSync(join(there.box.dir, "certs", "api.keys"), "utf8").trim().split("\n").at(-1) ?? "";
    /** @type {Record<string, string>} */
    const options = isKeyed ? { policy: "relay", key } : { policy: "relay" };
    const [anna, ben] = [await open("Anna", options), await open("Ben", options)];
    for (const tab of [anna, ben]) {
      await until("there are ICE servers", () => tab.read("pcConfig.iceServers.length > 0"));
      await tab.allowCamera();
    }
    await Promise.all([anna.sees(), ben.sees()]);
    for (const tab of [anna, ben]) assert.equal((await tab.pair()).localType, "relay");
  }));
}

test("with lanturn's own page through the relay alone", CASE, meeting(async (open, native) => {
  const ben = await native("Ben", "?policy=relay");
  const anna = await open("Anna", { policy: "relay" });
  await anna.allowCamera();
  await Promise.all([anna.sees(), ben.sees()]);
  for (const tab of [anna, ben]) assert.equal((await tab.pair()).localType, "relay");
}));

test("after a hang-up, either may call again", CASE, meeting(async (open) => {
  const [anna, ben] = [await open("Anna"), await open("Ben")];
  await anna.allowCamera();
  await ben.allowCamera();
  await Promise.all([anna.sees(), ben.sees()]);
  for (const tab of [ben, anna]) {
    await tab.read("hangup()");
    for (const each of [anna, ben]) await until(`${each.who}'s call has ended`, () => each.read("pc === null"));
    await tab.read("sendMessage('got user media')");
    await Promise.all([anna.sees(), ben.sees()]);
  }
}));

test("whoever reloads is called again", CASE, meeting(async (open) => {
  const [anna, ben] = [await open("Anna"), await open("Ben")];
  await anna.allowCamera();
  await ben.allowCamera();
  for (const tab of [ben, anna]) {
    await Promise.all([anna.sees(), ben.sees()]);
    await tab.page.reload({ waitUntil: "load" });
    await tab.allowCamera();
  }
  await Promise.all([anna.sees(), ben.sees()]);
}));
