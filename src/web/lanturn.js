/**
 * lanturn's client: rooms, calls and their reconnection. lanturn.d.ts says what it offers, with its options, events and
 * types; docs/client.md explains it. The modules that it imports are beside it; there is nothing else.
 *
 * ```js
 * import { join, Media } from "https://box:3478/lanturn.js";
 * const media = new Media();
 * const room = await join("https://box:3478", "kitchen", { name: "Anna", media });
 * for (const peer of room.peers.values()) show(peer);
 * room.addEventListener("peer", (event) => show(event.detail.peer));
 * room.addEventListener("stream", (event) => play(event.detail.peer.stream));
 * await media.start("audio", "video");
 * ```
 *
 * How a call forms. The server says, for each pair, who is polite and who offers first: the one who came later, unless
 * the other is a client of another make that is used to something else. Our offer always has one audio, one video and
 * one data section, whether or not there is a camera. The other side answers into the same sections, so a call forms
 * whoever has media, and without any. From then on both sides change only tracks and directions, and either may offer
 * at any time (perfect negotiation, W3C WebRTC section 10.7). Who shares a screen adds sections for it, once.
 *
 * When the connection to the box drops, the membership is resumed: nothing that was said is lost, and the calls go on
 * meanwhile. Only if that took too long, or the box was started anew, the room is joined again.
 *
 * @import { JoinOptions, QualityChange, Room as RoomApi, Stats, Transfer } from "./lanturn.js"
 * @import { Later } from "./later.js"
 * @import { Reason } from "./line.js"
 * @import { Entry } from "./peer.js"
 */

import { isText, MOST_TEXT } from "./chat.js";
import { later } from "./later.js";
import { Log, standing } from "./log.js";
import { Media } from "./media.js";
import { Membership } from "./membership.js";
import { Peer } from "./peer.js";
import { codecNames, crowdStep, presets } from "./quality.js";
import { onlyTransport } from "./ways.js";

export { Media, presets };

/** What may come of a signal to somebody who has just left, begun anew or been away. */
const PASSING = new Set(["no-such-peer", "stale"]);
const MEASURE_EVERY_MS = 1_000;
/** What the box may say to a request of ours, which does not say to which. */
const REFUSALS = new Set(["not-allowed", "bad-message", "rate-limited"]);
const ANSWER_WITHIN_MS = 10_000;
/** @type {Reason} */
const AWAY = { id: "unreachable", text: "There is no connection to the box now." };
/** Others to send to, before it is too many. */
const CROWD = 6;
const MAX_FILE_BYTES = 256 * 1024 * 1024;

/** Why a room could not be entered. */
export class JoinError extends Error {
  /** @param {string} id @param {string} text */
  constructor(id, text) {
    super(text);
    this.name = "JoinError";
    /** The stable id. */
    this.id = id;
  }
}

/**
 * Enters a room. Resolves once in it; `room.self` and `room.peers` are complete then, and no event has been missed.
 * @param {string | URL | undefined} url the box ("https://box:3478"), its socket ("wss://box:3478/ws"), or this page's
 * @param {string} room
 * @param {JoinOptions} [options]
 * @returns {Promise<Room>} rejects with a {@link JoinError}, with the reason of the aborted signal, or with what the
 *   browser has against `rtcConfiguration`
 */
export async function join(url, room, options = {}) {
  options.signal?.throwIfAborted();
  // What a browser can't make a connection with, it says at once, and not when somebody comes.
  if (options.rtcConfiguration) new RTCPeerConnection(options.rtcConfiguration).close();
  const entered = new Room(socketUrl(url), room, options);
  await entered.enter();
  return entered;
}

/** @type {typeof import("./lanturn.js").codecs} */
export function codecs(kind) {
  return codecNames(RTCRtpSender.getCapabilities(kind)?.codecs ?? []);
}

/** @param {string | URL | undefined} url @returns {string} */
function socketUrl(url) {
  const socket = new URL(url ?? globalThis.location.href, globalThis.location?.href);
  if (socket.protocol === "https:" || socket.protocol === "http:") {
    socket.protocol = socket.protocol.replace("http", "ws");
    socket.pathname = "/ws";
    socket.search = "";
  }
  socket.hash = "";
  return socket.href;
}

/** A room that we are in, or are on the way back into. @implements {Omit<RoomApi, "addEventListener">} */
export class Room extends EventTarget {
  #options;
  #membership;
  /** @type {Media} */
  #media;
  #log = new Log();
  /** What `join` waits for, until it is there. @type {Later<void> | null} */
  #entering = later();
  /** Who waits for an invite: one at a time. @type {Later<any> | null} */
  #inviting = null;
  /** Ends when all invites that were asked for have been answered. @type {Promise<unknown>} */
  #invited = Promise.resolve();
  /** A change of the PIN that the box has not agreed to yet. @type {string | null | undefined} */
  #newPin;
  /** Ends what listens for this room's sake; aborted when we are out of the room for good. */
  #end = new AbortController();
  #measuring;

  /** @param {string} url @param {string} room @param {JoinOptions} options */
  constructor(url, room, options) {
    super();
    this.#options = options;
    this.#media = /** @type {Media | undefined} */ (options.media) ?? new Media(options.stream);
    /** The name as asked for; the server's spelling once joined. */
    this.name = room;
    /** @type {{id: string, name?: string, role?: string}} */
    this.self = { id: "" };
    /** @type {Map<string, Peer>} */
    this.peers = new Map();
    this.capacity = 0;
    this.host = "";
    this.locked = false;
    this.hasPin = false;
    this.crowded = false;
    /** @type {RTCConfiguration} */
    this.configuration = {};
    this.#membership = new Membership(url, {
      hello: () => this.#hello(),
      heard: (message) => this.#hear(message),
      away: (why, retryIn) => {
        this.#refuseInvite(why);
        this.#tell("away", { reason: why.id, retryIn });
      },
      back: () => this.#back(),
      gone: () => this.#dropAll(),
      over: (why) => this.#finish(why),
    });
    this.#listen();
    this.#measuring = setInterval(() => this.#measure(), MEASURE_EVERY_MS);
  }

  get media() {
    return this.#media;
  }

  get stream() {
    return this.#media.stream;
  }

  get connected() {
    return this.#membership.settled;
  }

  /** The first attempt. @returns {Promise<void>} @internal */
  enter() {
    this.#membership.dial();
    return /** @type {Later<void>} */ (this.#entering).promise;
  }

  /** @param {MediaStream | null} stream */
  async setStream(stream) {
    this.#media.adopt(stream);
    await this.#send();
  }

  /** @param {QualityChange} change */
  async setQuality(change) {
    await this.#media.setQuality(change);
    await this.#shape();
  }

  leave() {
    this.#membership.tell({ type: "leave" });
    this.#membership.end({ id: "left", text: "You left the room." });
  }

  /** @param {boolean} locked */
  lock(locked) {
    this.#ask({ type: "lock", locked });
  }

  /** @param {string | null} pin */
  setPin(pin) {
    this.#newPin = pin;
    this.#ask({ type: "pin", pin });
  }

  /** @param {string} peerId */
  kick(peerId) {
    this.#ask({ type: "kick", id: peerId });
  }

  /**
   * @param {{role?: string, ttl?: number}} [wanted]
   * @returns {Promise<{invite: string, role: string, expiresAt: number}>} rejects with a {@link JoinError}
   */
  invite(wanted = {}) {
    const invite = this.#invited.then(() => this.#invite(wanted));
    this.#invited = invite.catch(() => {});
    return invite;
  }

  /** @param {string} peerId @returns {Promise<Stats | null>} */
  async stats(peerId) {
    return (await this.peers.get(peerId)?.summary()) ?? null;
  }

  /** @param {string} text @param {string} [peerId] */
  say(text, peerId) {
    if (!isText(text)) throw new RangeError(`A message has 1 to ${MOST_TEXT} characters.`);
    const sent = this.#some(peerId).map((peer) => peer.say(text));
    // Between viewers there is no call: the box passes it on.
    const idle = peerId === undefined && [...this.peers.values()].some(({ state }) => state === "idle");
    if (idle) this.#membership.say({ type: "broadcast", data: { chat: text } });
    return idle || sent.includes(true);
  }

  /** @param {File} file @param {string} [peerId] @returns {Transfer[]} */
  sendFile(file, peerId) {
    return this.#some(peerId).filter(({ chats }) => chats).map((peer) => peer.sendFile(file));
  }

  report() {
    const { role } = this.self;
    const others = `${this.peers.size} of ${this.capacity - 1} others`;
    const room = `in the room: ${this.connected ? "connected" : "away"}, ${role}, ${others}`;
    const { camera, screen, audio } = this.#media.quality;
    const wishes = Object.entries({ camera, screen, audio }).map(([name, wish]) => `${name}: ${JSON.stringify(wish)}`);
    return this.#log.text([navigator.userAgent, room, ...wishes, ...[...this.peers.values()].map(standing)]);
  }

  #listen() {
    const { signal } = this.#end;
    const { connection } = /** @type {{connection?: EventTarget & {type?: string}}} */ (globalThis.navigator ?? {});
    let network = connection?.type;
    globalThis.addEventListener?.("pagehide", () => this.leave(), { signal });
    globalThis.addEventListener?.("online", () => this.#moved(), { signal });
    // It tells of every estimate, too.
    connection?.addEventListener?.("change", () => {
      if (connection.type !== network) this.#moved();
      network = connection.type;
    }, { signal });
    this.#options.signal?.addEventListener("abort", () => this.leave(), { signal });
    this.#media.addEventListener("change", () => void this.#send(), { signal });
    // Only now is the picture as large as was asked for.
    this.#media.addEventListener("constrained", () => void this.#shape(), { signal });
  }

  /** What only a host may ask for, of a box that hears us. @param {object} message */
  #ask(message) {
    if (this.connected) this.#membership.tell(message);
    else this.#tell("error", { ...AWAY, fatal: false });
  }

  /** @param {{role?: string, ttl?: number}} wanted @returns {Promise<any>} */
  async #invite({ role = this.self.role, ttl }) {
    if (!this.connected) throw new JoinError(AWAY.id, AWAY.text);
    const waiting = (this.#inviting = later());
    const late = setTimeout(() => this.#refuseInvite({ id: "timeout", text: "The box did not answer in time." }), ANSWER_WITHIN_MS);
    this.#membership.tell({ type: "invite", role, ttl });
    try {
      return await waiting.promise;
    } finally {
      clearTimeout(late);
      this.#inviting = null;
    }
  }

  /** The network has changed. */
  #moved() {
    this.#membership.hurry();
    for (const peer of this.peers.values()) peer.moved();
  }

  #rerouted() {
    for (const peer of this.peers.values()) peer.rerouted();
  }

  #hello() {
    const { name, role, pin, invite } = this.#options;
    return { room: this.name, name: name || undefined, role, pin, invite };
  }

  /** @param {string} [peerId] everybody, unless given @returns {Peer[]} */
  #some(peerId) {
    return [...this.peers.values()].filter(({ id }) => peerId === undefined || id === peerId);
  }

  async #send() {
    const { stream, screen } = this.#media;
    const muted = { audio: this.#media.muted("audio"), video: this.#media.muted("video") };
    this.#count();
    for (const peer of this.peers.values()) peer.mute(muted);
    await Promise.all([...this.peers.values()].map((peer) => peer.send(stream, screen)));
  }

  async #shape() {
    await Promise.all([...this.peers.values()].map((peer) => peer.shape(this.#media.quality)));
  }

  #measure() {
    for (const peer of this.peers.values()) void peer.measure().catch(() => {});
  }

  /** How many we send a picture to. @param {boolean} [more] whether somebody came */
  #count(more = false) {
    const { stream, screen } = this.#media;
    const shows = stream.getVideoTracks().length + screen.getVideoTracks().length > 0;
    const peers = shows ? [...this.peers.values()].filter(({ state }) => state !== "idle").length : 0;
    for (const peer of this.peers.values()) peer.crowd(crowdStep(peers));
    const { crowd: most = CROWD } = this.#options;
    const crowded = peers > most;
    if (crowded === this.crowded && !(crowded && more)) return;
    this.crowded = crowded;
    this.#tell("crowded", { crowded, peers, most });
  }

  /** @param {Reason} why @returns {boolean} whether anybody waited for one */
  #refuseInvite(why) {
    this.#inviting?.reject(new JoinError(why.id, why.text));
    return this.#inviting !== null;
  }

  /** Out of the room for good. @param {Reason} why */
  #finish(why) {
    this.#end.abort();
    clearInterval(this.#measuring);
    this.#refuseInvite(why);
    this.#dropAll();
    const aborted = this.#options.signal?.aborted;
    if (this.#entering) this.#entering.reject(aborted ? this.#options.signal?.reason : new JoinError(why.id, why.text));
    else this.#tell("closed", { reason: why.id });
  }

  /** @param {any} message */
  #hear(message) {
    const peer = this.peers.get(message.id ?? message.from);
    switch (message.type) {
      case "joined":
        return this.#joined(message);
      case "resumed":
        return this.#configure(message.iceServers);
      case "peer-joined":
        return this.#came(message.peer);
      case "peer-left":
        return peer && this.#drop(peer, message.reason);
      case "peer-renamed":
        if (peer) peer.name = message.name ?? "";
        return peer ? this.#tell("renamed", { peer }) : undefined;
      case "peer-away":
      case "peer-back":
        return peer && this.#presence(peer, message.type === "peer-away");
      case "peer-restarted":
        return peer && this.#again(peer, message.epoch);
      case "signal":
        return peer?.receive(message.data);
      case "broadcast":
        return peer && this.#read(peer, message.data);
      case "ice-servers":
        this.#configure(message.iceServers);
        return message.restart && this.#rerouted();
      case "room":
        this.#stands(message);
        return this.#tell("room", {});
      case "invite":
        return this.#inviting?.resolve(message);
      case "error":
        return this.#refused(message);
    }
  }

  /** @param {any} message */
  #joined(message) {
    this.name = message.room;
    this.self = message.self;
    this.capacity = message.capacity;
    this.#stands(message);
    this.#configure(message.iceServers);
    for (const peer of message.peers) this.#meet(peer);
    // Who waits for `join` can't listen before.
    setTimeout(() => this.#count(true));
    if (!this.#entering) return this.#tell("joined", {});
    this.#entering.resolve();
    this.#entering = null;
  }

  /** How the room stands. @param {{host: string, locked: boolean, pin: boolean}} said */
  #stands({ host, locked, pin }) {
    if (this.#newPin !== undefined && pin === (this.#newPin !== null)) {
      this.#options = { ...this.#options, pin: this.#newPin ?? undefined };
      this.#newPin = undefined;
    }
    Object.assign(this, { host, locked, hasPin: pin });
  }

  #back() {
    this.#tell("back", {});
    for (const peer of this.peers.values()) peer.reached();
  }

  /** @param {{id: string, text: string}} error */
  #refused(error) {
    if (REFUSALS.has(error.id)) {
      if (this.#refuseInvite(error)) return;
      this.#newPin = undefined;
    }
    // People come and go while signals to them are on the way: events say all there is to say.
    if (!PASSING.has(error.id)) this.#tell("error", { id: error.id, text: error.text, fatal: false });
  }

  /** Somebody whom we have no call with. @param {Peer} peer @param {{chat?: unknown} | null} data */
  #read(peer, data) {
    if (peer.state === "idle" && isText(data?.chat)) this.#tell("chat", { peer, text: data.chat, at: new Date() });
  }

  /** @param {RTCIceServer[]} servers */
  #configure(servers) {
    const { iceTransportPolicy = "all", relayTransport, rtcConfiguration } = this.#options;
    const iceServers = onlyTransport(servers, relayTransport);
    this.configuration = { bundlePolicy: "max-bundle", iceTransportPolicy, iceServers, ...rtcConfiguration };
    for (const peer of this.peers.values()) peer.configure(this.configuration);
  }

  /** @param {Entry} entry */
  #meet(entry) {
    const { stream, screen, quality } = this.#media;
    /** @type {Peer} */
    const peer = new Peer(entry, this.configuration, {
      signal: (data) => this.#membership.say({ type: "signal", to: peer.id, epoch: peer.epoch, data }),
      tell: (type, detail) => this.#tell(type, detail),
      reachable: () => this.connected && !peer.away,
    }, this.#options.maxFileBytes ?? MAX_FILE_BYTES);
    this.peers.set(peer.id, peer);
    peer.mute({ audio: this.#media.muted("audio"), video: this.#media.muted("video") });
    if (peer.role === "viewer" && this.self.role === "viewer") peer.rest();
    else peer.start(stream, screen, quality);
    return peer;
  }

  /** @param {Entry} entry */
  #came(entry) {
    const peer = this.#meet(entry);
    this.#count(true);
    this.#tell("peer", { peer });
  }

  /** A peer has forgotten all it knew. @param {Peer} peer @param {number} epoch */
  #again(peer, epoch) {
    this.#drop(peer, "restarted");
    this.#came({ ...peer.entry, epoch, away: false });
  }

  /** @param {Peer} peer @param {boolean} away */
  #presence(peer, away) {
    peer.away = away;
    this.#tell("presence", { peer });
    if (!away) peer.reached();
  }

  /** @param {Peer} peer @param {string} reason */
  #drop(peer, reason) {
    this.peers.delete(peer.id);
    peer.close();
    this.#tell("peer-left", { peer, reason });
    this.#count();
  }

  #dropAll() {
    for (const peer of [...this.peers.values()]) this.#drop(peer, "closed");
  }

  /** @param {string} type @param {Record<string, any>} detail */
  #tell(type, detail) {
    this.#log.note(type, detail);
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
