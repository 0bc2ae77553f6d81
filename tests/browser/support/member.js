/** Somebody who uses the module by themselves, in a page of the box, without the page's own controls. */

import { explained, Tab, until } from "./tab.js";

/** @import { Box } from "./box.js" */
/** @import { TestBrowser } from "./browsers.js" */

/**
 * Runs in the page, and leaves `me` there: `me.join(room, options)`, then `me.room`, `me.media`, `me.other` (the only
 * other) and `me.told`, the events so far.
 */
async function inPage() {
  const module = await import(/** @type {string} */ ("/lanturn.js"));
  const me = {
    ...module,
    media: new module.Media(),
    /** @type {any} */
    room: null,
    /** @type {any[]} */
    told: [],
    get other() {
      return [...(me.room?.peers.values() ?? [])][0];
    },
    /** @param {string} room @param {object} options */
    async join(room, options = {}) {
      me.room = await module.join(undefined, room, { media: me.media, ...options });
      for (const type of ["peer", "peer-left", "state", "stream", "screen", "muted", "step", "crowded", "data", "chat", "away", "back", "joined", "closed", "error"]) {
        me.room.addEventListener(type, (/** @type {any} */ { detail: { peer, ...detail } }) => me.told.push({ type, ...(peer && { peer: peer.id }), ...detail }));
      }
    },
    heard: (/** @type {string} */ type) => me.told.filter((/** @type {any} */ each) => each.type === type),
    /** What comes from the only other now: how many pictures, and how large. @param {"camera" | "screen"} use */
    picture(use = "camera") {
      const flow = me.other?.stats?.received[use];
      return flow && { width: flow.width, height: flow.height, frameRate: flow.frameRate, bitrate: flow.bitrate, codec: flow.codec };
    },
  };
  Object.assign(globalThis, { me });
}

export class Member extends Tab {
  /** @override @param {TestBrowser} browser @param {string} url @param {string} who @returns {Promise<Member>} */
  static async open(browser, url, who) {
    const tab = await Tab.open(browser, url, who);
    const member = Object.setPrototypeOf(tab, Member.prototype);
    await tab.page.evaluate(inPage);
    return member;
  }

  /** @param {string} room @param {object} [options] of `join` */
  async enters(room, options = {}) {
    await this.page.evaluate((room, options) => me.join(room, options), room, options);
  }

  /**
   * Until `look`, which runs in the page, gives something true.
   * @template T @param {string} what @param {(...facts: any[]) => T} look @param {any[]} facts
   * @returns {Promise<NonNullable<Awaited<T>>>}
   */
  async until(what, look, ...facts) {
    return /** @type {any} */ (until(`${this.who} ${what}`, () => /** @type {any} */ (this.page.evaluate(look, ...facts))));
  }

  /** Until pictures come, of the given use. @param {"camera" | "screen"} [use] */
  async watches(use = "camera") {
    await this.until(`watches a ${use}`, (use) => (me.picture(use)?.frameRate ?? 0) > 0, use);
  }

  /** Shares a drawing with a tone, for want of a screen. */
  async shares() {
    await this.page.evaluate(async () => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [640, 400];
      const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
      setInterval(() => pen.fillRect(Math.random() * 640, Math.random() * 400, 9, 9), 50);
      const stream = canvas.captureStream(10);
      const sound = new AudioContext();
      const tone = new OscillatorNode(sound);
      const out = sound.createMediaStreamDestination();
      tone.connect(out);
      tone.start();
      stream.addTrack(out.stream.getAudioTracks()[0]);
      navigator.mediaDevices.getDisplayMedia = async () => stream;
      if (!(await me.media.share())) throw new Error("nothing was shared");
    });
  }

  /** What the calls have been but connected, and who has left. */
  async broken() {
    return this.page.evaluate(() => {
      const states = me.heard("state").map((/** @type {any} */ { state }) => state);
      return [...states.filter((/** @type {string} */ state) => state !== "connected"), ...me.heard("peer-left")];
    });
  }
}

/**
 * A test in each browser with members in pages of their own.
 * @param {(what: string, story: import("./both.js").Story) => void} inEach @param {string[]} names
 */
export function members(inEach, ...names) {
  /** @param {string} what @param {(room: string, ...members: Member[]) => Promise<void>} story */
  return (what, story) => inEach(what, async (box, browser, kind) => {
    /** @type {Member[]} */
    const all = [];
    try {
      for (const name of names) all.push(await Member.open(browser, box.url, name));
      await story(`${kind} ${what}`.slice(0, 60), ...all);
      for (const member of all) await member.close();
    } catch (error) {
      throw await explained(error, box, ...all);
    } finally {
      for (const member of all) await member.page.close().catch(() => {});
    }
  });
}
