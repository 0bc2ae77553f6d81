/**
 * A person with a Chromium, wherever this is started: the NAT tests start it in network namespaces. It is told what to
 * do, and answers, with a line of JSON each. `node visitor.js AUTHORITY`
 */

import { createInterface } from "node:readline";
import { TestBrowser } from "./browsers.js";
import { Tab, until } from "./tab.js";

/** @typedef {{join?: {url: string, room: string}, see?: {path: string, transport: string, within: number}, flows?: {within: number}, leave?: true}} Ask */

const browser = await TestBrowser.launch("chromium", process.argv[2]);
/** @type {Tab | null} */
let tab = null;
let clicked = 0;

/** A page, as a person opens it who tries again when the browser says that the network has just changed. @param {string} url */
async function opened(url, tries = 3) {
  try {
    return await Tab.open(browser, url, "Visitor");
  } catch (error) {
    if (tries <= 1 || !String(error).includes("ERR_NETWORK_CHANGED")) throw error;
    return opened(url, tries - 1);
  }
}

/** Enters a room, with the camera on. @param {string} url @param {string} room */
async function join(url, room) {
  tab = await opened(url);
  // What the networks of these tests do to it is no fault of the page's.
  tab.forgiven = /./;
  await tab.type("#room", room);
  await tab.type("#name", "Visitor");
  clicked = Date.now();
  await tab.click("#join");
  await tab.entered();
  return {};
}

/** The only call. */
async function call() {
  const [stats] = (await tab?.stats()) ?? [];
  return stats;
}

/**
 * Waits until a picture comes by the path that is wanted.
 * @param {{path: string, transport: string, within: number}} wanted "direct" or "relay"; what carries it to the relay, if
 *   that is ours; how long it may take, in ms
 */
async function see({ path, transport, within }) {
  /** @type {import("../../../src/web/stats.js").Stats | undefined} */
  let last;
  const there = async () => {
    last = await call();
    if (!last || last.framesDecoded === 0 || last.path?.kind !== path) return false;
    return last.path.localType !== "relay" || last.path.transport === transport;
  };
  await until(`a picture comes by the path "${path}", over ${transport} if it is by our relay`, there, within).catch((error) => {
    throw new Error(`${error.message}: ${last?.framesDecoded ?? "no"} frames, ${JSON.stringify(last?.path ?? null)}`);
  });
  return { ms: Date.now() - clicked };
}

/** Waits until frames come on top of those that have come. @param {number} within ms */
async function flows(within) {
  const began = Date.now();
  const first = (await call())?.framesDecoded ?? 0;
  let low = first;
  await until("more frames come", async () => {
    const now = (await call())?.framesDecoded ?? 0;
    // A call that is begun anew counts from nothing.
    low = Math.min(low, now);
    return now >= low + 10;
  }, within);
  return { ms: Date.now() - began };
}

/** @param {Ask} ask */
async function act({ join: where, see: wanted, flows: more }) {
  if (where) return join(where.url, where.room);
  if (wanted) return see(wanted);
  if (more) return flows(more.within);
  await tab?.page.close();
  tab = null;
  return {};
}

console.log(JSON.stringify({ ready: true }));
for await (const line of createInterface({ input: process.stdin })) {
  const answer = await act(JSON.parse(line)).catch(async (error) => ({ error: `${error}\n${(await tab?.calls())?.join("\n")}` }));
  console.log(JSON.stringify(answer));
}
await browser.close();
