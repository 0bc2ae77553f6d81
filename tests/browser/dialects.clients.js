/**
 * A page with Ayame's own web SDK, one that does what AppRTC's page does, and one of the WebRTC codelab call their likes,
 * each other and lanturn's page, whoever comes first.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { elsewhere } from "./support/elsewhere.js";
import { explained, Tab, until } from "./support/tab.js";
import { reading, summary } from "../../src/web/stats.js";

/** @typedef {"ayame" | "apprtc" | "codelab"} Dialect */
/** @typedef {Dialect | "native"} Kind */

const CASE = { timeout: 60_000 };
const BOX_IN_DOCS = "192.168.1.5:3478";
const FILES = {
  "/ayame": ["support/ayame.html", "text/html; charset=utf-8"],
  "/apprtc": ["support/apprtc.html", "text/html; charset=utf-8"],
  "/codelab": ["support/codelab.html", "text/html; charset=utf-8"],
  "/ayame.mjs": ["node_modules/@open-ayame/ayame-web-sdk/dist/ayame.mjs", "text/javascript"],
};
/** How a page says which connection its call runs over. */
const CONNECTION = { ayame: "globalThis.connection?.peerConnection", apprtc: "globalThis.pc", codelab: "globalThis.pc" };

let rooms = 0;

const there = elsewhere((request, response) => {
  const { pathname } = new URL(request.url ?? "", "http://site");
  const [file, type] = FILES[/** @type {keyof typeof FILES} */ (pathname)] ?? [];
  if (!file || !type) return response.writeHead(404).end();
  response.setHeader("content-type", type);
  response.end(readFileSync(new URL(file, import.meta.url), "utf8").replaceAll(BOX_IN_DOCS, new URL(there.box.url).host));
}, { kinds: ["chromium"] });

/** One person at a page of another dialect. */
class Guest extends Tab {
  /** @param {Dialect} dialect @param {string} who @param {Record<string, string>} query */
  static async enter(dialect, who, query) {
    const tab = await Tab.open(there.browsers.chromium, `${there.origin}/${dialect}?${new URLSearchParams(query)}`, who);
    Object.setPrototypeOf(tab, Guest.prototype);
    const guest = /** @type {Guest} */ (tab);
    guest.dialect = dialect;
    const isAnswered = `Boolean(${CONNECTION[dialect]} || globalThis.heard?.length)`;
    const isTold = dialect === "codelab" ? "isInitiator || isChannelReady" : isAnswered;
    await until(`${who} has an answer`, () => guest.read(isTold));
    if (dialect === "codelab") await guest.read("allowCamera()");
    return guest;
  }

  /** @type {Dialect} */
  dialect = "ayame";

  /** @param {string} expression @returns {Promise<any>} what it is in the page */
  async read(expression) {
    return this.page.evaluate(expression);
  }

  /** @override */
  async stats() {
    const reports = await this.read(`${CONNECTION[this.dialect]}?.getStats().then((report) => [...report])`);
    return reports?.length > 0 ? [summary(reading(/** @type {any} */ (new Map(reports))))] : [];
  }
}

/**
 * @typedef {(kind: Kind, who: string, policy?: string) => Promise<any>} Open
 * @param {(open: Open) => Promise<void>} story
 */
function meeting(story) {
  return async () => {
    /** @type {Tab[]} */
    const tabs = [];
    const room = `room ${++rooms}`;
    /** @type {Open} */
    const open = async (kind, who, policy = "all") => {
      if (kind !== "native") {
        const guest = await Guest.enter(kind, who, { room, policy });
        tabs.push(guest);
        return guest;
      }
      const tab = await Tab.open(there.browsers.chromium, `${there.box.url}/r/${encodeURIComponent(room)}?policy=${policy}`, who);
      tabs.push(tab);
      await tab.enter();
      return tab;
    };
    try {
      await story(open);
      for (const tab of tabs) await tab.close();
    } catch (error) {
      throw await explained(error, there.box, ...tabs);
    } finally {
      for (const tab of tabs) await tab.page.close().catch(() => {});
    }
  };
}

/** @type {[Kind, Kind][]} */
const PAIRS = [
  ["ayame", "native"],
  ["native", "ayame"],
  ["ayame", "ayame"],
  ["apprtc", "native"],
  ["native", "apprtc"],
  ["apprtc", "apprtc"],
  ["ayame", "apprtc"],
  ["apprtc", "ayame"],
  ["codelab", "ayame"],
  ["ayame", "codelab"],
  ["codelab", "apprtc"],
  ["apprtc", "codelab"],
];

for (const policy of ["all", "relay"]) {
  for (const [first, second] of PAIRS) {
    test(`${first} first, then ${second}, over ${policy}`, CASE, meeting(async (open) => {
      const anna = await open(first, "Anna", policy);
      const ben = await open(second, "Ben", policy);
      await Promise.all([anna.sees(), ben.sees()]);
      if (policy === "relay") {
        const pair = await ben.pair();
        assert.deepEqual([pair.localType, pair.remoteType], ["relay", "relay"]);
      }
    }));
  }
}

test("Ayame's SDK hears that the other one left, and why it is not let in", CASE, meeting(async (open) => {
  const ben = await open("ayame", "Ben");
  const anna = await open("native", "Anna");
  await Promise.all([anna.sees(), ben.sees()]);
  await anna.click("#leave");
  await until("Ben hears of it", async () => (await ben.read("heard")).length > 1);
  assert.deepEqual((await ben.read("heard")).slice(0, 2), ["bye", "WS-CLOSED"]);
  const [cara, dora] = [await open("ayame", "Cara"), await open("ayame", "Dora")];
  await Promise.all([cara.sees(), dora.sees()]);
  const late = await open("ayame", "Eve");
  assert.deepEqual(await late.read("heard"), ["full"]);
}));

test("a client of AppRTC calls whoever comes next after a hang-up", CASE, meeting(async (open) => {
  const ben = await open("apprtc", "Ben");
  for (const kind of /** @type {Kind[]} */ (["native", "apprtc", "native"])) {
    const anna = await open(kind, "Anna");
    await Promise.all([anna.sees(), ben.sees()]);
    if (kind === "native") await anna.click("#leave");
    else await anna.read("hangup()");
    await until("Ben waits for another", () => ben.read("isInitiator && early !== null"));
  }
}));
