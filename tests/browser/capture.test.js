/** Media by itself, without a browser: what it asks for, what becomes of the answers, and what it leaves behind. */

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Media } from "../../src/web/media.js";

/** @typedef {import("../../src/web/lanturn.js").Kind} Kind */

class Track extends EventTarget {
  enabled = true;
  readyState = "live";
  /** @param {string} kind */
  constructor(kind) {
    super();
    this.kind = kind;
  }
  getSettings() {
    return {};
  }
  stop() {
    this.readyState = "ended";
  }
}

class Stream {
  /** @param {Track[]} tracks */
  constructor(tracks = []) {
    this.tracks = [...tracks];
  }
  getTracks() {
    return [...this.tracks];
  }
  getVideoTracks() {
    return this.tracks.filter(({ kind }) => kind === "video");
  }
  /** @param {Track} track */
  addTrack(track) {
    this.tracks.push(track);
  }
  /** @param {Track} track */
  removeTrack(track) {
    this.tracks = this.tracks.filter((each) => each !== track);
  }
}

/** The questions that no person has answered yet. @type {{allow: () => Track[], deny: (message?: string) => void}[]} */
let prompts = [];
/** How many listen to the devices. */
let listeners = 0;

const mediaDevices = {
  /** @param {Record<string, object>} wishes */
  getUserMedia: (wishes) => new Promise((resolve, reject) => {
    prompts.push({
      allow: () => {
        const tracks = Object.keys(wishes).map((kind) => new Track(kind));
        resolve(new Stream(tracks));
        return tracks;
      },
      deny: (message = "Permission denied") => reject(new DOMException(message, "NotAllowedError")),
    });
  }),
  enumerateDevices: async () => [],
  addEventListener: (/** @type {string} */ _, /** @type {() => void} */ __, /** @type {{signal: AbortSignal}} */ { signal }) => {
    listeners += 1;
    signal.addEventListener("abort", () => (listeners -= 1));
  },
};
Object.defineProperty(globalThis, "navigator", { value: { mediaDevices }, configurable: true });
Object.assign(globalThis, { MediaStream: Stream });

beforeEach(() => {
  prompts = [];
  listeners = 0;
});

/** @param {Media} media */
function refusals(media) {
  /** @type {string[]} */
  const told = [];
  media.addEventListener("refused", (event) => told.push(/** @type {CustomEvent} */ (event).detail));
  return told;
}

test("a camera that is wanted again while the first question is open comes by the second, whatever comes of the first", async () => {
  for (const first of /** @type {const} */ (["deny", "allow"])) {
    prompts = [];
    const media = new Media();
    const told = refusals(media);
    const starts = [media.start("video")];
    media.stop("video");
    starts.push(media.start("video"));
    const stale = prompts[0][first]();
    await starts[0];
    assert.deepEqual(stale?.map(({ readyState }) => readyState) ?? [], first === "allow" ? ["ended"] : []);
    const [track] = prompts[1].allow();
    await starts[1];
    assert.equal(media.track("video"), track);
    assert.equal(track.readyState, "live");
    assert.deepEqual(told, [], "what nobody waits for is not told");
  }
});

test("who refuses is told apart where the browser does", async () => {
  const media = new Media();
  const told = refusals(media);
  for (const message of ["Permission denied", "Permission denied by system"]) {
    const start = media.start("video");
    /** @type {typeof prompts} */ (prompts).at(-1)?.deny(message);
    await start;
  }
  assert.deepEqual(told, ["denied", "system"]);
});

test("a track of somebody else's that ends is none any more, and makes room for another", async () => {
  const own = new Track("video");
  const media = new Media(/** @type {any} */ (new Stream([own])));
  let changes = 0;
  media.addEventListener("change", () => (changes += 1));
  own.stop();
  own.dispatchEvent(new Event("ended"));
  assert.equal(media.track("video"), undefined);
  assert.equal(changes, 1);
  const start = media.start("video");
  prompts[0].allow();
  await start;
  assert.ok(media.track("video"));
});

test("once closed, nothing is on and nothing listens to the devices", async () => {
  const media = new Media();
  await media.devices();
  await media.devices();
  assert.equal(listeners, 1);
  const start = media.start("audio");
  const [track] = prompts[0].allow();
  await start;
  media.close();
  assert.equal(listeners, 0);
  assert.equal(track.readyState, "ended");
  await media.devices();
  assert.equal(listeners, 1, "until it is used again");
});
