/**
 * However people join, allow their cameras, offer, drop, find back, reload and leave, and in whatever order: a call ends
 * connected, with what each sends, or clearly ended. The schedules are random, from seeds that a failure names; each
 * side is lanturn.js in a page of its own, over a wire that this test cuts or deafens.
 */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { Box } from "./support/box.js";
import { KINDS, TestBrowser } from "./support/browsers.js";
import { prepare } from "./support/schedule.js";
import { explained, Tab } from "./support/tab.js";
import { Wire } from "./support/wire.js";

/** @import { Kind } from "./support/browsers.js" */
/** @typedef {() => number} Random from 0 to 1 */

/** How many for each pair of browsers. */
const SCHEDULES = Number(process.env.SCHEDULES ?? 15);
const FIRST_SEED = Number(process.env.SEED ?? 1);
/** In which Firefox took nothing of what Chromium sent, or refused an offer of a new path for ever. */
const HARD = process.env.SEED ? [] : [50, 52, 278];
const AT_ONCE = 5;
const STEPS = 12;
/** Before which of the steps somebody comes in, at the latest. */
const JOIN_WITHIN = 5;
const DEAF_MS = 200;
/** @type {[Kind, Kind][]} */
const PAIRS = [["chromium", "chromium"], ["firefox", "firefox"], ["chromium", "firefox"]];
/** What a side can do, as often as it stands here. */
const ACTS = ["camera", "camera", "both", "offer", "restart", "drop", "drop", "deafen", "deafen", "flicker", "reload", "crash", "wait"];

/** @type {Box} */
let box;
/** @type {Partial<Record<Kind, TestBrowser>>} */
const browsers = {};
/** How often a connection was resumed. */
let resumed = 0;
/** How often a call was begun anew, because it could not be mended. */
let renewed = 0;

before(async () => {
  // Who crashed is waited for no longer than a schedule takes; and a schedule is faster than people are.
  box = await Box.start({
    env: {
      LANTURN__ROOMS__RESUME_WINDOW: "3s",
      LANTURN__ROOMS__MESSAGE_RATE: "1000",
      LANTURN__ROOMS__JOIN_RATE: "100000",
    },
  });
  for (const kind of KINDS) {
    browsers[kind] = await TestBrowser.launch(kind, box.authority);
  }
}, { timeout: 120_000 });

after(async () => {
  for (const browser of Object.values(browsers)) await browser.close();
  await box?.stop();
});

/** Mulberry32. @param {number} seed @returns {Random} */
function randomFrom(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** @typedef {{side: 0 | 1, act: string, pause: number}} Step */

/** @param {number} seed @returns {Step[]} */
function schedule(seed) {
  const random = randomFrom(seed);
  const pause = () => (random() < 0.4 ? 0 : Math.floor(random() * 300));
  /** @type {Step[]} */
  const steps = Array.from({ length: STEPS }, (_, i) => ({
    side: random() < 0.5 ? 0 : 1,
    // Whoever has left does nothing more.
    act: i === STEPS - 1 && random() < 0.2 ? "leave" : ACTS[Math.floor(random() * ACTS.length)],
    pause: pause(),
  }));
  // Cameras may be allowed, and wires be cut, before somebody is in the room, and while they are on their way.
  for (const side of /** @type {(0 | 1)[]} */ ([0, 1])) steps.splice(Math.floor(random() * JOIN_WITHIN), 0, { side, act: "join", pause: pause() });
  return steps;
}

/** A page and its wire to the box. @typedef {{tab: Tab, wire: Wire}} Place */

/** @param {Kind} kind @returns {Promise<Place>} */
async function place(kind) {
  const wire = await Wire.to(box);
  const tab = await Tab.open(/** @type {TestBrowser} */ (browsers[kind]), wire.url, kind);
  // Browsers complain about each connection that is cut.
  tab.forgiven = /wss:|ERR_|NetworkError/;
  await prepare(tab.page);
  return { tab, wire };
}

/** Plays one schedule to its end. @param {Place[]} places @param {number} seed @returns {Promise<string | null>} how it stuck */
async function play(places, seed) {
  const steps = schedule(seed);
  const say = (/** @type {number} */ side, /** @type {string} */ act, /** @type {unknown[]} */ ...facts) =>
    places[side].tab.page.evaluate(
      (room, side, act, facts) => /** @type {any} */ (globalThis).side(room, side)[act](...facts),
      `schedule ${seed}`, side, act, facts,
    ).catch((error) => {
      throw new Error(`${side}:${act}: ${error.message}`);
    });
  /** @type {Record<string, (side: number) => unknown>} */
  const acts = {
    both: () => Promise.all([say(0, "offer"), say(1, "offer")]),
    drop: (side) => places[side].wire.cut(),
    deafen: (side) => {
      places[side].wire.deafen();
      void setTimeout(DEAF_MS).then(() => places[side].wire.cut());
    },
    crash: (side) => {
      places[side].wire.cut();
      return say(side, "reload");
    },
    wait: () => {},
  };
  for (const { side, act, pause } of steps) {
    await (acts[act] ?? ((each) => say(each, act)))(side);
    await setTimeout(pause);
  }
  const [zero, one] = await Promise.all([say(0, "standing"), say(1, "standing")]);
  const ends = await Promise.all([say(0, "end", one), say(1, "end", zero)]);
  for (const told of [await say(0, "close"), await say(1, "close")]) {
    resumed += told.resumed;
    renewed += told.renewed;
  }
  if (ends.every((end) => end === null)) return null;
  const said = steps.map(({ side, act, pause }) => `${side}:${act}+${pause}`).join(" ");
  return `seed ${seed}: ${said}\n  0: ${ends[0]}\n  1: ${ends[1]}`;
}

for (const [left, right] of PAIRS) {
  test(`${left} and ${right} get stuck in none of ${SCHEDULES} schedules`, { timeout: 60_000 + SCHEDULES * 20_000 }, async (each) => {
    /** @type {Place[][]} */
    const pairs = [];
    for (let i = 0; i < AT_ONCE; i++) pairs.push([await place(left), await place(right)]);
    const places = pairs.flat();
    const tabs = places.map(({ tab }) => tab);
    /** @type {string[]} */
    const stuck = [];
    resumed = renewed = 0;
    try {
      const seeds = [...HARD, ...Array.from({ length: SCHEDULES }, (_, i) => FIRST_SEED + i)];
      const player = async (/** @type {Place[]} */ pair) => {
        for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift()) {
          const end = await play(pair, seed).catch((error) => `seed ${seed}: ${error}`);
          if (end) stuck.push(end);
        }
      };
      await Promise.all(pairs.map(player));
      each.diagnostic(`connections resumed: ${resumed}; calls begun anew: ${renewed}`);
      assert.deepEqual(stuck, [], stuck.join("\n"));
      assert.ok(resumed >= SCHEDULES / 4, `a connection was resumed ${resumed} times`);
      for (const tab of tabs) await tab.close();
    } catch (error) {
      throw await explained(error, box, ...tabs);
    } finally {
      for (const { tab, wire } of places) {
        await tab.page.close().catch(() => {});
        wire.stop();
      }
    }
  });
}
