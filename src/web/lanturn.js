/**
 * lanturn's client: rooms, calls and their reconnection. It needs peer.js beside it, and nothing else.
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
 * Events of a room; each carries its facts in `event.detail`:
 * - `joined` {}: back in the room after a loss, with a new `room.self` and `room.peers`. (At first, `join` resolves.)
 * - `peer` {peer}: somebody came. `peer-left` {peer, reason}: "left", "disconnected", or "closed" with the whole room.
 * - `track` {peer, track}, `stream` {peer}: what `peer.stream` holds has changed.
 * - `state` {peer, state}: "connecting", "connected", "reconnecting" or "failed".
 * - `error` {id, text, fatal}: a stable id of the server, or one of ours: "unreachable", "timeout", "bad-signal".
 * - `closed` {reason, retryIn}: out of the room; `retryIn` is the time to the next attempt in ms, or null: for good.
 *
 * @import { RelayTransport, Stats } from "./peer.js"
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

import { Peer, summary } from "./peer.js";

const JOIN_DEADLINE_MS = 10_000;
const PING_EVERY_MS = 5_000;
const RETRY_FIRST_MS = 500;
const RETRY_MOST_MS = 15_000;
/** After these, another attempt may go well; after any other fatal error it would end the same way. */
const WORTH_RETRYING = new Set(["unreachable", "timeout", "rate-limited", "hello-timeout", "slow-reader"]);

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
  try {
    await entered.connect();
  } catch (error) {
    entered.leave();
    throw error;
  }
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
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {MediaStream | null} */
  #stream;
  #attempt = 0;
  #left = false;
  #entered = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** Ends what listens for this room's sake; aborted when we are out of the room for good. */
  #end = new AbortController();
  /** @type {((why: {id: string, text: string}) => void) | null} gives up the present socket */
  #abandon = null;

  /** @param {string} url @param {string} room @param {JoinOptions} options */
  constructor(url, room, options) {
    super();
    this.#url = url;
    this.#options = options;
    this.#stream = options.stream ?? null;
    /** The name as asked for; the server's spelling once joined. */
    this.name = room;
    /** @type {{id: string, name?: string}} */
    this.self = { id: "" };
    /** @type {Map<string, Peer>} who else is here, by id */
    this.peers = new Map();
    /** How many fit in, ourselves included. */
    this.capacity = 0;
    /** @type {RTCConfiguration} */
    this.configuration = {};
    const leave = () => this.leave();
    globalThis.addEventListener?.("pagehide", leave, { signal: this.#end.signal });
    options.signal?.addEventListener("abort", leave, { signal: this.#end.signal });
  }

  /** What we send now. */
  get stream() {
    return this.#stream;
  }

  /** One attempt to enter. @returns {Promise<void>} @internal */
  connect() {
    const { promise, resolve, reject } = withResolvers();
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    /** @type {{id: string, text: string}} */
    let why = { id: "unreachable", text: "The connection to the box was lost." };
    let heard = true;
    let joined = false;
    const abandon = (/** @type {{id: string, text: string}} */ reason) => {
      if (this.#socket !== socket) return;
      clearTimeout(deadline);
      clearInterval(pinging);
      this.#socket = this.#abandon = null;
      socket.close();
      reject(this.#options.signal?.aborted ? this.#options.signal.reason : new JoinError(reason.id, reason.text));
      this.#lost(reason);
    };
    this.#abandon = abandon;
    const late = { id: "timeout", text: "The box did not answer in time." };
    const deadline = setTimeout(() => abandon(late), JOIN_DEADLINE_MS);
    const pinging = setInterval(() => {
      if (socket.readyState !== WebSocket.OPEN) return;
      if (!heard) return abandon(late);
      heard = false;
      this.#send({ type: "ping" });
    }, PING_EVERY_MS);
    const { name, role, pin, invite } = this.#options;
    socket.onopen = () => this.#send({ type: "join", v: 1, room: this.name, name: name || undefined, role, pin, invite });
    socket.onmessage = (event) => {
      if (this.#socket !== socket) return;
      heard = true;
      const message = JSON.parse(event.data);
      if (message.type === "error" && message.fatal) why = message;
      this.#receive(message);
      // Refused: the box would hear another try over the same socket, but we make a new one for each.
      if (message.type === "error" && !joined) return abandon(message);
      if (message.type !== "joined") return;
      joined = true;
      clearTimeout(deadline);
      resolve();
    };
    socket.onclose = () => abandon(why);
    return promise;
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
    if (this.#end.signal.aborted) return;
    this.#left = true;
    clearTimeout(this.#retry);
    this.#send({ type: "leave" });
    const left = { id: "left", text: "You left the room." };
    if (this.#abandon) this.#abandon(left);
    else this.#lost(left);
  }

  /** @param {string} peerId @returns {Promise<Stats | null>} null if nobody has that id */
  async stats(peerId) {
    const peer = this.peers.get(peerId);
    return peer ? summary(await peer.connection.getStats()) : null;
  }

  /** @param {{id: string}} why */
  #lost(why) {
    for (const peer of [...this.peers.values()]) this.#drop(peer, "closed");
    const again = this.#entered && !this.#left && WORTH_RETRYING.has(why.id);
    // Full jitter: a restarted box is not met by all its rooms in the same moment.
    const most = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** this.#attempt++);
    const retryIn = again ? Math.round(most * (0.5 + Math.random() / 2)) : null;
    if (retryIn === null) this.#end.abort();
    else this.#retry = setTimeout(() => this.connect().catch(() => {}), retryIn);
    this.#tell("closed", { reason: why.id, retryIn });
  }

  /** @param {any} message */
  #receive(message) {
    switch (message.type) {
      case "joined":
        this.name = message.room;
        this.self = message.self;
        this.capacity = message.capacity;
        this.#configure(message.iceServers);
        for (const peer of message.peers) this.#meet(peer);
        this.#attempt = 0;
        if (this.#entered) this.#tell("joined", {});
        this.#entered = true;
        return;
      case "peer-joined":
        return this.#tell("peer", { peer: this.#meet(message.peer) });
      case "peer-left": {
        const peer = this.peers.get(message.id);
        return peer && this.#drop(peer, message.reason);
      }
      case "peer-restarted": {
        const peer = this.peers.get(message.id);
        if (!peer) return;
        this.#drop(peer, "disconnected");
        return this.#tell("peer", { peer: this.#meet(peer.entry) });
      }
      case "ice-servers":
        this.#configure(message.iceServers);
        for (const peer of this.peers.values()) peer.connection.setConfiguration(this.configuration);
        return;
      case "signal":
        return this.peers.get(message.from)?.receive(message.data);
      case "error":
        // A peer may leave while a signal to it is on the way: its `peer-left` says all there is to say.
        if (message.id === "no-such-peer") return;
        return this.#tell("error", { id: message.id, text: message.text, fatal: message.fatal });
    }
  }

  /** @param {RTCIceServer[]} servers */
  #configure(servers) {
    const { iceTransportPolicy = "all", relayTransport, rtcConfiguration } = this.#options;
    const iceServers = onlyTransport(servers, relayTransport);
    this.configuration = { bundlePolicy: "max-bundle", iceTransportPolicy, iceServers, ...rtcConfiguration };
  }

  /** @param {{id: string, name?: string, polite: boolean, initiate: boolean}} entry */
  #meet(entry) {
    const peer = new Peer(entry, this.configuration, {
      signal: (data) => this.#send({ type: "signal", to: entry.id, data }),
      tell: (type, detail) => this.#tell(type, detail),
    });
    this.peers.set(peer.id, peer);
    peer.start(this.#stream);
    return peer;
  }

  /** @param {Peer} peer @param {string} reason */
  #drop(peer, reason) {
    this.peers.delete(peer.id);
    peer.close();
    this.#tell("peer-left", { peer, reason });
  }

  /** @param {object} message */
  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** @param {string} type @param {object} detail */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** @returns {{promise: Promise<void>, resolve: () => void, reject: (reason: unknown) => void}} */
function withResolvers() {
  /** @type {any} */
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}
