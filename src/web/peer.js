/**
 * One call: the connection to one other member of a room, and what is known about it. Used through lanturn.js.
 *
 * @import { Kind, Path, Peer as PeerApi, PeerState, Quality, Stats, StepReason, Transfer } from "./lanturn.js"
 * @import { Signal } from "./negotiation.js"
 * @import { Outgoing } from "./sections.js"
 * @import { Reading } from "./stats.js"
 * @typedef {{id: string, name?: string, role?: string, epoch?: number, away?: boolean, polite: boolean,
 *   initiate: boolean}} Entry
 * @typedef {{signal: (data: Signal & {call: number}) => void, tell: (type: string, detail: object) => void, reachable: () => boolean}} Link
 */

import { CHAT, Chat } from "./chat.js";
import { Detour } from "./detour.js";
import { FILE, Files } from "./files.js";
import { Negotiation } from "./negotiation.js";
import { Pace } from "./pace.js";
import { DEFAULT_QUALITY, LAST_STEP } from "./quality.js";
import { awaited, heard, places } from "./sections.js";
import { Stall } from "./stall.js";
import { reading, summary } from "./stats.js";
import { alike } from "./wishes.js";

/** How long a call may be in a state that is no good, before it is mended. A lost path often comes back by itself. */
const PATIENCE_MS = { failed: 0, disconnected: 3_000, other: 8_000 };
/** How much longer the polite one of the two waits for the other to do it. */
const POLITE_MS = 3_000;
const MOST_PATIENCE_MS = 30_000;
/** After so many tries in vain a call is begun anew; and after as many more each time. */
const MOST_TRIES = 2;
/** Whoever begins calls anew more often than that means no good: each takes sockets, and places at the relay. */
const RENEW_EVERY_MS = 2_000;
/** For a call whose two ends have just found back to the box. */
const SOON_MS = 500;

/** Somebody in the room, and the call with them. @implements {PeerApi} */
export class Peer {
  #polite;
  #initiate;
  #link;
  #configuration;
  #negotiation;
  /** Whether they number calls as well: then one can be begun anew. */
  #numbers = false;
  /** @type {Outgoing} */
  #outgoing = { camera: null, screen: null };
  #quality = DEFAULT_QUALITY;
  #pace = new Pace();
  #stall = new Stall();
  #detour;
  /** The step that so many others call for. */
  #crowdStep = 0;
  /** @type {Reading | null} */
  #reading = null;
  /** @type {Chat | null} */
  #chat = null;
  #files;
  /** @type {Record<Kind, boolean>} ours */
  #muted = { audio: false, video: false };
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #mending;
  #mended = 0;
  /** Whether it stood when that was looked at last. */
  #stood = false;
  /** How often the call was begun anew since it last stood, and when last. */
  #renewed = 0;
  #renewedAt = -Infinity;
  /** There is no call, or none any more. */
  #over = false;

  /**
   * @param {Entry} entry what the box says of them
   * @param {RTCConfiguration} configuration @param {Link} link
   * @param {number} [maxFileBytes]
   */
  constructor(entry, configuration, link, maxFileBytes = 0) {
    this.id = entry.id;
    this.name = entry.name ?? "";
    this.role = entry.role ?? "member";
    /** Which of their beginnings this is the call with. @internal */
    this.epoch = entry.epoch ?? 1;
    /** Whether their connection to the box has dropped. A call with them goes on meanwhile if it can. */
    this.away = entry.away ?? false;
    this.#polite = entry.polite;
    this.#initiate = entry.initiate;
    this.#link = link;
    this.#configuration = configuration;
    this.#detour = new Detour(configuration);
    /** Which of the calls with them this is. @internal */
    this.call = 0;
    this.stream = new MediaStream();
    this.screen = new MediaStream();
    /** @type {Record<Kind, boolean>} theirs */
    this.muted = { audio: false, video: false };
    /** @type {PeerState} */
    this.state = "connecting";
    /** @type {Stats | null} */
    this.stats = null;
    this.#files = new Files(this, maxFileBytes, (transfer) => link.tell("file", { peer: this, transfer }));
    this.#negotiation = this.#negotiate();
  }

  #negotiate() {
    const call = this.call;
    /** @type {Negotiation} */
    const negotiation = new Negotiation(this.entry, this.#configuration, {
      signal: (data) => this.#link.signal({ ...data, call }),
      wants: () => ({ outgoing: this.#outgoing, quality: this.#quality, step: this.step }),
      heard: () => this.#negotiation === negotiation && this.#hear(),
      refuse: (text) => this.#link.tell("error", { id: "bad-signal", text, fatal: false, peer: this }),
    });
    negotiation.connection.ondatachannel = ({ channel }) => this.#opened(channel);
    negotiation.connection.onsignalingstatechange = () => this.#watch();
    negotiation.connection.onconnectionstatechange = () => this.#changed();
    return negotiation;
  }

  get connection() {
    return this.#negotiation.connection;
  }

  /** What the box says of them. @returns {Entry} @internal */
  get entry() {
    const { id, name, role, epoch, away } = this;
    return { id, name, role, epoch, away, polite: this.#polite, initiate: this.#initiate };
  }

  get chats() {
    return this.#chat?.open ?? false;
  }

  get step() {
    return Math.min(LAST_STEP, this.#pace.step + this.#crowdStep);
  }

  /** @returns {StepReason | null} */
  get stepReason() {
    return this.#pace.because ?? (this.#crowdStep > 0 ? "peers" : null);
  }

  /**
   * @param {MediaStream | null} camera @param {MediaStream | null} [screen] @param {Quality} [quality]
   * @internal
   */
  start(camera, screen = null, quality = DEFAULT_QUALITY) {
    this.#outgoing = { camera, screen };
    this.#quality = quality;
    this.#begin();
  }

  #begin() {
    this.#watch();
    if (!this.#initiate) return;
    this.#talk(this.connection.createDataChannel(CHAT));
    this.#negotiation.start();
  }

  /** There is no call, as between two viewers. @internal */
  rest() {
    this.state = "idle";
    this.close();
  }

  /** @param {RTCConfiguration} configuration @internal */
  configure(configuration) {
    this.#configuration = configuration;
    if (!this.#negotiation.closed) this.connection.setConfiguration(configuration);
  }

  /** @param {MediaStream | null} camera @param {MediaStream | null} [screen] @internal */
  send(camera, screen = null) {
    this.#outgoing = { camera, screen };
    return this.#negotiation.fill();
  }

  /** @param {Quality} quality @internal */
  shape(quality) {
    const offer = !alike(this.#quality, quality);
    this.#quality = quality;
    return this.#negotiation.shape({ offer });
  }

  /** How many are sent to has changed. @param {number} step for so many @internal */
  crowd(step) {
    if (step !== this.#crowdStep) this.#stepped(() => (this.#crowdStep = step));
  }

  /** @param {string} text @returns {boolean} whether it was sent @internal */
  say(text) {
    return this.#chat?.say(text) ?? false;
  }

  /** @param {Record<Kind, boolean>} muted ours @internal */
  mute(muted) {
    this.#muted = muted;
    this.#chat?.mute(muted);
  }

  /** @param {File} file @returns {Transfer} @internal */
  sendFile(file) {
    return this.#files.send(file);
  }

  /** The reading of a second. @internal */
  async measure() {
    // A step that never ends is no event.
    if (this.#stood && !this.#negotiation.stands) this.#watch();
    if (this.connection.connectionState !== "connected") return;
    const negotiation = this.#negotiation;
    const report = await negotiation.report();
    // Gone meanwhile.
    if (!report || negotiation.closed) return;
    const now = reading(report);
    this.stats = this.#summary(now);
    this.#reading = now;
    this.#link.tell("stats", { peer: this, stats: this.stats });
    const { lossOut, limitedBy, path } = this.stats;
    this.#stepped(() => this.#pace.observe({ loss: lossOut, limitedBy }));
    if (this.#negotiation.stands && this.#lacks(now, path)) this.connection.restartIce();
    // The camera may have been turned, or a window been made larger.
    if (this.#negotiation.idle) await this.#negotiation.shape();
  }

  /** Whether another path may do better than the one that it has. @param {Reading} now @param {Path | null} path */
  #lacks(now, path) {
    const stalled = this.#stall.observe(awaited(this.connection, this.muted), now);
    return this.#detour.observe(path) || stalled;
  }

  /** @returns {Promise<Stats>} @internal */
  async summary() {
    return this.#summary(reading((await this.#negotiation.report()) ?? new Map()));
  }

  /** @param {Reading} now */
  #summary(now) {
    return summary(now, this.#reading, { places: places(this.connection), quality: this.#quality, step: this.step });
  }

  /** @param {() => unknown} change of what the step comes from */
  #stepped(change) {
    const before = this.step;
    change();
    if (this.step === before) return;
    this.#link.tell("step", { peer: this, step: this.step, because: this.stepReason });
    void this.#negotiation.shape();
  }

  /** @param {RTCDataChannel} channel */
  #opened(channel) {
    if (channel.label === FILE) this.#files.offered(channel);
    else if (channel.label === CHAT && !this.#chat) this.#talk(channel);
  }

  /** @param {RTCDataChannel} channel */
  #talk(channel) {
    this.#chat = new Chat(channel, this.#muted, {
      changed: () => this.#link.tell("data", { peer: this }),
      said: (text) => this.#link.tell("chat", { peer: this, text, at: new Date() }),
      muted: (muted) => {
        if (muted.audio === this.muted.audio && muted.video === this.muted.video) return;
        this.muted = muted;
        this.#link.tell("muted", { peer: this });
      },
    });
  }

  /** @param {Signal & {call?: number}} data @internal */
  receive(data) {
    const call = data?.call;
    if (this.#over) return;
    if (call !== undefined && Number.isSafeInteger(call)) {
      this.#numbers = true;
      // Of a call that is over.
      if (call < this.call) return;
      // Whoever means it says it again.
      if (call > this.call && performance.now() - this.#renewedAt < RENEW_EVERY_MS) return;
      if (call > this.call) this.#anew(call);
    }
    this.#negotiation.receive(data ?? {});
  }

  /** Another connection in place of one that can't be mended: whatever a browser has got wrong, it is gone with it. @param {number} call */
  #anew(call) {
    this.#renewedAt = performance.now();
    this.#renewed += 1;
    this.#mended = 0;
    this.#files.close();
    this.#negotiation.close();
    this.call = call;
    this.#chat = this.#reading = null;
    this.#stall = new Stall();
    this.#detour = new Detour(this.#configuration);
    this.#negotiation = this.#negotiate();
    this.#begin();
    this.#changed();
    this.#link.tell("data", { peer: this });
  }

  /** Signals get through again: a call that does not stand is mended soon; one that stands is left alone. @internal */
  reached() {
    this.#mended = 0;
    this.#watch(SOON_MS);
  }

  /** The network has changed: the path may be gone, and a better one be there. @internal */
  moved() {
    if (this.#negotiation.stands) this.connection.restartIce();
  }

  /** The box and its relay are elsewhere now: what goes by there, or by nowhere yet, needs another path. @internal */
  rerouted() {
    if (!this.#negotiation.stands) this.reached();
    else if (this.stats?.path?.kind !== "direct") this.connection.restartIce();
  }

  /** @internal */
  close() {
    this.#over = true;
    clearTimeout(this.#mending);
    this.#files.close();
    this.#negotiation.close();
  }

  /** Makes `stream` and `screen` hold exactly what the other side sends. */
  #hear() {
    const { camera, screen } = heard(this.connection);
    this.#hold(this.stream, camera, "stream");
    this.#hold(this.screen, screen, "screen");
  }

  /** @param {MediaStream} stream @param {MediaStreamTrack[]} tracks @param {string} type of the event */
  #hold(stream, tracks, type) {
    const before = stream.getTracks();
    const gone = before.filter((track) => !tracks.includes(track));
    const came = tracks.filter((track) => !before.includes(track));
    for (const track of gone) stream.removeTrack(track);
    for (const track of came) stream.addTrack(track);
    for (const track of came) this.#link.tell("track", { peer: this, track });
    if (gone.length + came.length > 0) this.#link.tell(type, { peer: this });
  }

  #changed() {
    const now = this.connection.connectionState;
    const before = this.state;
    if (now === "connected" || now === "failed") this.state = now;
    else if (before !== "connecting") this.state = "reconnecting";
    if (this.state !== before) this.#link.tell("state", { peer: this, state: this.state });
    this.#watch();
  }

  /**
   * Sees to it that a call which does not stand is mended in the end, whatever was lost on the way.
   * @param {number} [patience] ms
   */
  #watch(patience = this.#patience()) {
    clearTimeout(this.#mending);
    if (this.#over) return;
    this.#stood = this.#negotiation.stands;
    if (this.#stood) this.#mended = this.#renewed = 0;
    else this.#mending = setTimeout(() => this.#mend(), patience + (this.#polite ? POLITE_MS : 0));
  }

  #patience() {
    const { connectionState, signalingState } = this.connection;
    const { failed, disconnected, other } = PATIENCE_MS;
    const first = connectionState === "failed" ? failed : connectionState === "disconnected" ? disconnected : other;
    if (this.#mended === 0) return first;
    const next = Math.min(MOST_PATIENCE_MS, 1_000 * 2 ** this.#mended);
    // To say an offer again is no trouble; a new path takes its time.
    return signalingState === "have-local-offer" ? next : Math.max(first, next);
  }

  #mend() {
    if (!this.#negotiation.stands && this.#link.reachable()) {
      this.#mended += 1;
      if (this.#numbers && this.#mended > MOST_TRIES * (1 + this.#renewed)) return this.#renew();
      void this.#negotiation.mend();
    }
    this.#watch();
  }

  #renew() {
    // Whatever comes of it, it is looked after.
    this.#watch();
    this.#anew(this.call + 1);
    // Who offers first has said so with the offer.
    if (!this.#initiate) this.#link.signal({ call: this.call });
  }
}
