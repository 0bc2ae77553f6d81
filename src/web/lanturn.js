/**
 * lanturn's client: rooms, calls and their reconnection. The modules that it imports are beside it; there is nothing else.
 *
 * ```js
 * import { join } from "https://box:3478/lanturn.js";
 * const room = await join("https://box:3478", "kitchen", { name: "Anna", stream });
 * for (const peer of room.peers.values()) show(peer);
 * room.addEventListener("peer", (event) => show(event.detail.peer));
 * room.addEventListener("stream", (event) => play(event.detail.peer.stream));
 * ```
 *
 * How a call forms. The server says, for each pair, who is polite and who offers first: the one who came later, unless
 * the other is a client of another make that is used to something else. Our offer always has one audio, one video and
 * one data section, whether or not there is a camera. The other side answers into the same sections, so a call forms
 * whoever has media, and without any. From then on both sides change only tracks and directions, and either may offer
 * at any time (perfect negotiation, W3C WebRTC section 10.7).
 *
 * When the connection to the box drops, the membership is resumed: nothing that was said is lost, and the calls go on
 * meanwhile. Only if that took too long, or the box was started anew, the room is joined again.
 *
 * Events of a room; each carries its facts in `event.detail`:
 * - `peer` {peer}: somebody came. `peer-left` {peer, reason}: "left", "disconnected", "kicked", "restarted" (`peer`
 *   follows), or "closed" with the whole room.
 * - `presence` {peer}: `peer.away` has changed. `renamed` {peer}: `peer.name` has.
 * - `track` {peer, track}, `stream` {peer}: what `peer.stream` holds has changed.
 * - `state` {peer, state}: "connecting", "connected", "reconnecting" or "failed"; between two viewers "idle", for ever.
 * - `room` {}: `room.host`, `room.locked` or `room.hasPin` has changed.
 * - `away` {reason, retryIn}: the connection to the box dropped; `retryIn` is the time to the next attempt in ms.
 * - `back` {}: it is there again. `joined` {}: so it is, but with a new `room.self` and new `room.peers`.
 * - `error` {id, text, fatal}: a stable id of the server, or one of ours: "unreachable", "timeout", "bad-signal".
 * - `closed` {reason}: out of the room for good.
 *
 * @import { Reason } from "./line.js"
 * @import { Entry } from "./peer.js"
 * @import { RelayTransport, Stats } from "./stats.js"
 *
 * @typedef {object} JoinOptions
 * @property {string} [name] what the others see
 * @property {"presenter" | "member" | "viewer"} [role] what we are in the room for; "member" unless said otherwise
 * @property {string} [pin] the room's PIN, if it has one; who makes a room with one gives it that
 * @property {string} [invite] what an invite carried: it opens a room with a PIN, and says the role
 * @property {MediaStream | null} [stream] what to send: its first audio and its first video track
 * @property {RTCIceTransportPolicy} [iceTransportPolicy] "relay" sends everything through the box
 * @property {RelayTransport} [relayTransport] use only this way to the relay
 * @property {RTCConfiguration} [rtcConfiguration] anything else for the peer connections
 * @property {AbortSignal} [signal] leaves the room, or gives up joining it
 */

import { Ledger } from "./ledger.js";
import { Line } from "./line.js";
import { Peer } from "./peer.js";
import { summary } from "./stats.js";

const RETRY_FIRST_MS = 500;
const RETRY_MOST_MS = 15_000;
/** After these, another attempt may go well; after any other fatal error it would end the same way. */
const WORTH_RETRYING = new Set(["unreachable", "timeout", "rate-limited", "hello-timeout", "slow-reader"]);
/** What may come of a signal to somebody who has just left, begun anew or been away. */
const PASSING = new Set(["no-such-peer", "stale"]);

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
 * @returns {Promise<Room>} rejects with a {@link JoinError}, or with the reason of the aborted signal
 */
export async function join(url, room, options = {}) {
  options.signal?.throwIfAborted();
  const entered = new Room(socketUrl(url), room, options);
  await entered.enter();
  return entered;
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

/**
 * Keeps only the ways to the relay that were asked for.
 * @param {RTCIceServer[]} servers @param {RelayTransport} [transport] @returns {RTCIceServer[]}
 */
export function onlyTransport(servers, transport) {
  if (!transport) return servers;
  const wanted = { udp: /^turn:.*transport=udp/, tcp: /^turn:.*transport=tcp/, tls: /^turns:/ }[transport];
  return servers
    .map((server) => ({ ...server, urls: [server.urls].flat().filter((url) => wanted.test(url)) }))
    .filter((server) => server.urls.length > 0);
}

/** A room that we are in, or are on the way back into. See the events at the top. */
export class Room extends EventTarget {
  #url;
  #options;
  /** @type {Line | null} */
  #line = null;
  /** Whether the box has let us in on the present line. */
  #settled = false;
  /** @type {string | undefined} what the membership is resumed with */
  #token;
  #ledger = new Ledger();
  /** @type {MediaStream | null} */
  #stream;
  #attempt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** What `join` waits for, until it is there. @type {ReturnType<typeof withResolvers> | null} */
  #entering = withResolvers();
  /** Who waits for an invite, in order. @type {ReturnType<typeof withResolvers>[]} */
  #invites = [];
  /** Ends what listens for this room's sake; aborted when we are out of the room for good. */
  #end = new AbortController();

  /** @param {string} url @param {string} room @param {JoinOptions} options */
  constructor(url, room, options) {
    super();
    this.#url = url;
    this.#options = options;
    this.#stream = options.stream ?? null;
    /** The name as asked for; the server's spelling once joined. */
    this.name = room;
    /** @type {{id: string, name?: string, role?: string}} */
    this.self = { id: "" };
    /** @type {Map<string, Peer>} who else is here, by id */
    this.peers = new Map();
    /** How many fit in, ourselves included. */
    this.capacity = 0;
    /** Who may lock the room, give it a PIN and send people away: a member's id. */
    this.host = "";
    /** Whether nobody more is let in. */
    this.locked = false;
    /** Whether the room has a PIN. */
    this.hasPin = false;
    /** @type {RTCConfiguration} */
    this.configuration = {};
    const { signal } = this.#end;
    globalThis.addEventListener?.("pagehide", () => this.leave(), { signal });
    globalThis.addEventListener?.("online", () => this.#hurry(), { signal });
    options.signal?.addEventListener("abort", () => this.leave(), { signal });
  }

  /** What we send now. */
  get stream() {
    return this.#stream;
  }

  /** Whether the box hears us now. */
  get connected() {
    return this.#settled;
  }

  /** The first attempt. @returns {Promise<void>} @internal */
  enter() {
    this.#dial();
    return /** @type {Promise<void>} */ (this.#entering?.promise);
  }

  /**
   * Sends another stream, or none, to everybody from now on, in the calls that run.
   * @param {MediaStream | null} stream
   */
  async setStream(stream) {
    this.#stream = stream;
    await Promise.all([...this.peers.values()].map((peer) => peer.send(stream)));
  }

  /** Leaves for good. */
  leave() {
    this.#line?.send({ type: "leave" });
    this.#finish({ id: "left", text: "You left the room." });
  }

  /** For the host: lets nobody more in, or everybody again. @param {boolean} locked */
  lock(locked) {
    this.#line?.send({ type: "lock", locked });
  }

  /** For the host: gives the room a PIN, or takes it away. Invites made before it end. @param {string | null} pin */
  setPin(pin) {
    this.#options = { ...this.#options, pin: pin ?? undefined };
    this.#line?.send({ type: "pin", pin });
  }

  /** For the host: sends somebody away. @param {string} peerId */
  kick(peerId) {
    this.#line?.send({ type: "kick", id: peerId });
  }

  /**
   * Makes an invite, with which `join` enters the room as `role` and needs no PIN.
   * @param {{role?: string, ttl?: number}} [wanted] ttl: for how many seconds it is good
   * @returns {Promise<{invite: string, role: string, expiresAt: number}>} rejects with a {@link JoinError}
   */
  invite(wanted = {}) {
    if (!this.#settled) return Promise.reject(new JoinError("unreachable", "There is no connection to the box now."));
    const waiting = withResolvers();
    this.#invites.push(waiting);
    this.#line?.send({ type: "invite", role: wanted.role ?? this.self.role, ttl: wanted.ttl });
    return waiting.promise;
  }

  /** @param {string} peerId @returns {Promise<Stats | null>} null if nobody has that id */
  async stats(peerId) {
    const peer = this.peers.get(peerId);
    return peer ? summary(await peer.connection.getStats()) : null;
  }

  #dial() {
    clearTimeout(this.#retry);
    /** @type {Line} */
    const line = new Line(this.#url, {
      opened: () => line.send(this.#greeting()),
      pinging: () => this.#ledger.pinged(),
      heard: (message) => this.#line === line && this.#hear(message),
      lost: (why) => this.#line === line && this.#lost(why),
    });
    this.#line = line;
  }

  #greeting() {
    return this.#token ? { type: "resume", token: this.#token, last: this.#ledger.last, forgets: true } : this.#hello();
  }

  #hello() {
    const { name, role, pin, invite } = this.#options;
    const known = { room: this.name, name: name || undefined, role, pin, invite };
    // The token is here and nowhere else: a page that goes, or crashes, has left.
    return { type: "join", v: 1, ...known, resume: true, forgets: true };
  }

  /** The network is back: no need to wait for the next attempt, or for the heartbeat to notice. */
  #hurry() {
    if (this.#settled) this.#line?.probe();
    else if (!this.#line) this.#dial();
  }

  /** @param {Reason} why */
  #lost(why) {
    this.#line = null;
    this.#settled = false;
    for (const waiting of this.#invites.splice(0)) waiting.reject(new JoinError(why.id, why.text));
    if (this.#entering || !WORTH_RETRYING.has(why.id)) return this.#finish(why);
    // With jitter: a restarted box is not met by all its rooms in the same moment.
    const most = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** this.#attempt++);
    const retryIn = Math.round(most * (0.5 + Math.random() / 2));
    this.#retry = setTimeout(() => this.#dial(), retryIn);
    this.#tell("away", { reason: why.id, retryIn });
  }

  /** Out of the room for good. @param {Reason} why */
  #finish(why) {
    if (this.#end.signal.aborted) return;
    this.#end.abort();
    clearTimeout(this.#retry);
    const line = this.#line;
    this.#line = null;
    this.#settled = false;
    line?.end(why);
    this.#dropAll();
    const aborted = this.#options.signal?.aborted;
    if (this.#entering) this.#entering.reject(aborted ? this.#options.signal?.reason : new JoinError(why.id, why.text));
    else this.#tell("closed", { reason: why.id });
  }

  /** @param {any} message */
  #hear(message) {
    if (!this.#ledger.hears(message)) return;
    const peer = this.peers.get(message.id ?? message.from);
    switch (message.type) {
      case "joined":
        return this.#joined(message);
      case "resumed":
        return this.#resumed(message);
      case "pong":
        return this.#ledger.ponged();
      case "peer-joined":
        return this.#tell("peer", { peer: this.#meet(message.peer) });
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
      case "ice-servers":
        return this.#configure(message.iceServers);
      case "room":
        Object.assign(this, { host: message.host, locked: message.locked, hasPin: message.pin });
        return this.#tell("room", {});
      case "invite":
        return this.#invites.shift()?.resolve(message);
      case "error":
        return this.#refused(message);
    }
  }

  /** @param {any} message */
  #joined(message) {
    const again = !this.#entering;
    this.#token = message.resume?.token;
    this.#ledger = new Ledger();
    this.name = message.room;
    this.self = message.self;
    this.capacity = message.capacity;
    Object.assign(this, { host: message.host, locked: message.locked, hasPin: message.pin });
    this.#settle(message.iceServers);
    for (const peer of message.peers) this.#meet(peer);
    this.#entering?.resolve();
    this.#entering = null;
    if (again) this.#tell("joined", {});
  }

  /** @param {any} message */
  #resumed(message) {
    this.#settle(message.iceServers);
    for (const unsure of this.#ledger.resumed(message.received)) this.#line?.send(unsure);
    this.#tell("back", {});
    for (const peer of this.peers.values()) peer.reached();
  }

  /** @param {RTCIceServer[]} iceServers */
  #settle(iceServers) {
    this.#settled = true;
    this.#attempt = 0;
    this.#line?.settle();
    this.#configure(iceServers);
  }

  /** @param {{id: string, text: string, fatal: boolean}} error */
  #refused(error) {
    // The line's end says the same.
    if (error.fatal) return;
    if (this.#settled) {
      const waiting = error.id === "not-allowed" ? this.#invites.shift() : undefined;
      if (waiting) return waiting.reject(new JoinError(error.id, error.text));
      // People come and go while signals to them are on the way: events say all there is to say.
      if (!PASSING.has(error.id)) this.#tell("error", { id: error.id, text: error.text, fatal: false });
      return;
    }
    if (error.id === "gone") {
      this.#token = undefined;
      this.#dropAll();
      return this.#line?.send(this.#hello());
    }
    this.#line?.end(error);
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
    /** @type {Peer} */
    const peer = new Peer(entry, this.configuration, {
      signal: (data) => this.#signal(peer, data),
      tell: (type, detail) => this.#tell(type, detail),
      reachable: () => this.#settled && !peer.away,
    });
    this.peers.set(peer.id, peer);
    if (peer.role === "viewer" && this.self.role === "viewer") peer.rest();
    else peer.start(this.#stream);
    return peer;
  }

  /** A peer has forgotten all it knew. @param {Peer} peer @param {number} epoch */
  #again(peer, epoch) {
    this.#drop(peer, "restarted");
    this.#tell("peer", { peer: this.#meet({ ...peer.entry, epoch, away: false }) });
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
  }

  #dropAll() {
    for (const peer of [...this.peers.values()]) this.#drop(peer, "closed");
  }

  /** @param {Peer} peer @param {object} data */
  #signal(peer, data) {
    const message = this.#ledger.enter({ type: "signal", to: peer.id, epoch: peer.epoch, data });
    if (this.#settled) this.#line?.send(message);
    // Then the room is joined anew.
    else if (this.#ledger.overflows) this.#token = undefined;
  }

  /** @param {string} type @param {object} detail */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** @returns {{promise: Promise<any>, resolve: (value?: any) => void, reject: (reason: unknown) => void}} */
function withResolvers() {
  /** @type {any} */
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}
