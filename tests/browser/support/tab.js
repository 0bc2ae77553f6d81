/** One person at lanturn's page: types, clicks, looks. */

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

/** @import { Page } from "puppeteer-core" */
/** @import { Box } from "./box.js" */
/** @import { TestBrowser } from "./browsers.js" */
/** @import { Stats } from "../../../src/web/stats.js" */
/** @typedef {{at: number, id: string, reason: string}} Leaving */

const STEP_MS = 30_000;
const LOOK_EVERY_MS = 50;
const REPORT_MS = 5_000;
/** Frames that must come on top of the first reading before we call it video. */
const FRAMES = 10;

/**
 * Until `look` returns something true. It looks from here, since the page's policy forbids it to run text as code.
 * @template T @param {string} what @param {() => Promise<T>} look @param {number} [within] ms
 * @returns {Promise<NonNullable<T>>}
 */
export async function until(what, look, within = STEP_MS) {
  const end = Date.now() + within;
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    if (Date.now() > end) throw new Error(`waited ${within} ms in vain until ${what}`);
    await pause(LOOK_EVERY_MS);
  }
}

/** Runs in the page. What a call's connection, its sections and its streams are like. @returns {Promise<string[]>} */
async function callsInPage() {
  const { lanturn, me } = /** @type {any} */ (globalThis);
  const peers = [...(lanturn?.room ?? me?.room)?.peers.values() ?? []];
  return Promise.all(peers.map(async (peer) => {
    const { connection, state, away } = peer;
    const lines = [`call: ${state}${away ? ", away" : ""}; ${connection.connectionState}, ice ${connection.iceConnectionState}, ${connection.signalingState}`];
    for (const { mid, direction, currentDirection, sender, receiver } of connection.getTransceivers()) {
      const track = (/** @type {any} */ each) => each && `${each.kind} ${each.readyState}${each.muted ? " muted" : ""}`;
      lines.push(`section ${mid}: ${direction} (${currentDirection}), sends ${track(sender.track)}, receives ${track(receiver.track)}`);
    }
    const kept = /^(id|kind|mid|state|address|port|protocol|relayProtocol|candidateType|priority|(local|remote)CandidateId|nominated|selected|(requests|responses)(Sent|Received)|packets(Sent|Received)|frames(Sent|Encoded|Received|Decoded)|keyFrames\w+|pliCount|bytes\w+)$/;
    (await connection.getStats()).forEach((/** @type {any} */ entry) => {
      if (!/^(inbound-rtp|outbound-rtp|candidate-pair|(local|remote)-candidate)$/.test(entry.type)) return;
      const facts = Object.entries(entry).filter(([key]) => kept.test(key)).map(([key, value]) => `${key} ${value}`);
      lines.push(`${entry.type}: ${facts.join(", ")}`);
    });
    return lines.join("\n  ");
  }));
}

export class Tab {
  /** @type {string[]} everything that the page logged */
  log = [];
  /** @type {string[]} what must not happen: errors, and what the page's policy refused */
  faults = [];
  /** @type {RegExp | null} a fault that the test brings about itself */
  forgiven = null;

  /** @param {TestBrowser} browser @param {Page} page @param {string} who */
  constructor(browser, page, who) {
    this.browser = browser;
    this.page = page;
    this.who = who;
  }

  /** @param {TestBrowser} browser @param {string} url @param {string} who */
  static async open(browser, url, who) {
    const page = await browser.browser.newPage();
    const tab = new Tab(browser, page, who);
    page.on("console", (message) => {
      tab.log.push(`${message.type()}: ${message.text()}`);
      if (message.type() === "error") tab.faults.push(message.text());
    });
    page.on("pageerror", (error) => tab.faults.push(String(error)));
    await page.evaluateOnNewDocument(() => {
      addEventListener("securitypolicyviolation", (event) => {
        console.error(`policy: ${event.violatedDirective} refused ${event.blockedURI}`);
      });
    });
    await page.goto(url, { waitUntil: "load", timeout: STEP_MS });
    return tab;
  }

  /** @param {string} room @param {{watch?: boolean}} [options] */
  async join(room, options = {}) {
    if (await this.page.$("#ended:not([hidden])")) await this.click("#other-room");
    await this.type("#room", room);
    await this.enter(options);
  }

  /** Presses the button, in a room that the page knows already. @param {{watch?: boolean}} [options] */
  async enter({ watch = false } = {}) {
    await this.type("#name", this.who);
    await this.click(watch ? "#watch" : "#join");
    await this.entered();
  }

  async entered() {
    await until(`${this.who} is in the room`, () => this.page.evaluate(() => Boolean(globalThis.lanturn?.room)));
  }

  /** @param {string} field @param {string} text */
  async type(field, text) {
    await this.page.focus(field);
    await this.page.$eval(field, (input) => /** @type {HTMLInputElement} */ (input).select());
    await this.page.type(field, text);
  }

  /** @param {string} button */
  async click(button) {
    await this.page.$eval(button, (each) => /** @type {HTMLElement} */ (each).click());
  }

  /** Opens a panel, unless it is open. @param {string} opener */
  async open(opener) {
    const isOpen = () => this.page.$eval(opener, (each) => each.getAttribute("aria-expanded") === "true");
    if (!(await isOpen())) await this.click(opener);
    await until(`${this.who} has opened ${opener}`, isOpen);
  }

  /** @param {string} selector */
  async text(selector) {
    return this.page.$eval(selector, (each) => /** @type {HTMLElement} */ (each).innerText);
  }

  /** Waits for words on the page. @param {string} selector @param {string | RegExp} words @param {number} [within] ms */
  async reads(selector, words, within) {
    const fits = (/** @type {string} */ text) => (typeof words === "string" ? text === words : words.test(text));
    await until(`${this.who} reads ${words} in ${selector}`, async () => (await this.page.$(selector)) !== null && fits(await this.text(selector)), within);
  }

  /** Waits until a screen reader is told something. @param {string} words */
  async hears(words) {
    const told = () => this.page.$$eval("#live > *", (lines, words) => lines.some((line) => line.textContent === words), words);
    await until(`${this.who} hears "${words}"`, told);
  }

  /** Waits until camera and microphone are on. */
  async onAir() {
    const lit = () => this.page.$$eval("#camera[aria-pressed=true], #mic[aria-pressed=true]", (each) => each.length === 2);
    await until(`${this.who} is on air`, lit);
  }

  /** @returns {Promise<Stats[]>} one for each of the others */
  async stats() {
    return this.page.evaluate(async () => {
      const { room } = lanturn;
      return Promise.all([...(room?.peers.keys() ?? [])].map((id) => room.stats(id)));
    });
  }

  /** Waits until video from all of `others` people flows, and each has a picture on our page. @param {number} [others] */
  async sees(others = 1) {
    if (await this.page.$("#grid")) await until(`${others} are shown to ${this.who}`, async () => (await this.shown()) >= others);
    /** @type {number[] | undefined} */
    let first;
    await until(`frames from ${others} flow to ${this.who}`, async () => {
      const frames = (await this.stats()).map((each) => each.framesDecoded);
      if (frames.length !== others || frames.some((count) => count === 0)) return false;
      // With a stream that ends, its frames are gone too.
      if (!first || frames.some((count, i) => count < (first?.[i] ?? 0))) first = frames;
      return frames.every((count, i) => count >= (first?.[i] ?? 0) + FRAMES);
    });
  }

  /** How many tiles of others have a moving picture. */
  async shown() {
    return this.page.$$eval("#grid .tile:not(.self):not(.screen) video", (videos) =>
      videos.filter((video) => video instanceof HTMLVideoElement && video.videoWidth > 0 && !video.paused).length);
  }

  /** Waits until everybody else takes text and files. */
  async canWrite() {
    const ready = () => this.page.evaluate(() => [...lanturn.room.peers.values()].every((peer) => peer.chats));
    await until(`${this.who} can write to all`, ready);
  }

  /** Presses the button that shares the screen. A headless Firefox has none to give: then it is one that the page draws. */
  async share() {
    await this.page.bringToFront();
    if (this.browser.kind === "firefox") {
      await this.page.evaluate(() => {
        navigator.mediaDevices.getDisplayMedia = async () => {
          const canvas = document.createElement("canvas");
          [canvas.width, canvas.height] = [640, 400];
          const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
          setInterval(() => pen.fillRect(Math.random() * 640, Math.random() * 400, 9, 9), 50);
          return canvas.captureStream(10);
        };
      });
    }
    await this.page.click("#screen");
    await until(`${this.who} shares`, () => this.page.$("#screen[aria-pressed=true]"));
  }

  /** The pair of addresses that the call with the only other runs over. */
  async pair() {
    return until(`${this.who} has a selected pair`, async () => (await this.stats())[0]?.selectedPair);
  }

  /** From now on the page notes such events of its peers. @param {("peer-left" | "presence")[]} types */
  async watchLeavings(...types) {
    await this.page.evaluate((types) => {
      /** @type {Leaving[]} */
      const leavings = (lanturn.leavings = []);
      for (const type of types) {
        lanturn.room.addEventListener(type, (/** @type {any} */ { detail }) => {
          leavings.push({ at: Date.now(), id: detail.peer.id, reason: detail.reason ?? "away" });
        });
      }
    }, types);
  }

  /** @returns {Promise<Leaving>} the first who left since */
  async leaving() {
    return until(`${this.who} sees somebody leave`, () => this.page.evaluate(() => lanturn.leavings[0]), 10_000);
  }

  /** Ends the tab as a crash would where the browser lets us, otherwise closes it. */
  async kill() {
    if (this.browser.kind !== "chromium") return this.page.close();
    const session = await this.page.createCDPSession();
    session.send("Page.crash").catch(() => {});
  }

  async close() {
    await this.page.close().catch(() => {});
    const faults = this.faults.filter((fault) => !this.forgiven?.test(fault));
    assert.deepEqual(faults, [], `${this.who} (${this.browser.kind}) met errors`);
  }

  /** How each call is, for a reader of a failure. @returns {Promise<string[]>} */
  async calls() {
    const told = this.page.evaluate(callsInPage).catch((error) => [`no answer about the calls: ${error}`]);
    return Promise.race([told, pause(REPORT_MS, ["no answer about the calls in time"])]);
  }

  report() {
    return `${this.who} (${this.browser.kind}):\n  ${[...this.faults, ...this.log].join("\n  ") || "nothing logged"}`;
  }
}

/** Adds to a failure what the pages and the box logged, and how the calls were. @param {Error} error @param {Box} box @param {Tab[]} tabs */
export async function explained(error, box, ...tabs) {
  const pages = await Promise.all(tabs.map(async (tab) => `${tab.report()}\n  ${(await tab.calls()).join("\n  ")}`));
  error.message += `\n${pages.join("\n")}\nthe box:\n${box.log.split("\n").slice(-30).join("\n")}`;
  return error;
}
