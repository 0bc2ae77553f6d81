/**
 * One file to one other, over a data channel of its own: the header, the answer "accept", then the bytes, as fast as they
 * are taken, while "moved" tells how many have come. When all have, the sender closes the channel. To close it before is
 * to refuse or to cancel. Used through lanturn.js.
 *
 * @import { Later } from "./later.js"
 * @import { Peer, Transfer as TransferApi, TransferState } from "./lanturn.js"
 */

import { later } from "./later.js";

/** The channel's label. */
export const FILE = "file";
/** Offers and transfers that may come from one other at a time, and channels for them that are open. */
const MOST_AT_ONCE = 8;
const MOST_CHANNELS = 2 * MOST_AT_ONCE;
const MOST_HEADER = 4_000;
const MOST_NAME = 255;
/** Bytes of a message, if the connection takes so much, and how many may wait to be sent. */
const CHUNK = 64 * 1024;
const MOST_WAITING = 1024 * 1024;
const LOW = 256 * 1024;
/** After how many bytes the receiver tells how far it is. */
const TELL_EVERY = 256 * 1024;
/** Bytes that are put together, however small the pieces are that they come in. */
const PAGE = 1024 * 1024;
/** How long a channel may say nothing of a file, and stay open after all was said. */
const HEADER_WITHIN_MS = 10_000;
const CLOSE_WITHIN_MS = 10_000;
/** How long nothing may come of a file that was accepted. */
const STALLED_MS = 60_000;
/** @type {TransferState[]} */
const ENDS = ["done", "refused", "cancelled", "failed"];

/** @implements {TransferApi} */
class Transfer extends EventTarget {
  /** @type {TransferState} */
  state = "offered";
  reason = "";
  moved = 0;
  name = "";
  size = 0;
  type = "";
  /** @internal */
  channel;

  /** @param {"in" | "out"} direction @param {Peer} peer @param {RTCDataChannel} channel */
  constructor(direction, peer, channel) {
    super();
    this.direction = direction;
    this.peer = peer;
    this.channel = channel;
    channel.binaryType = "arraybuffer";
    channel.onclose = () => (this.state === "offered" && direction === "out" ? this.refuse() : this.cancel());
    channel.onerror = () => this.end("failed", "lost");
  }

  get ended() {
    return ENDS.includes(this.state);
  }

  /** @returns {Promise<Blob>} */
  accept() {
    return Promise.reject(new DOMException("There is nothing to accept.", "InvalidStateError"));
  }

  refuse() {
    this.end("refused", "refused");
  }

  cancel() {
    this.end("cancelled", "");
  }

  /** The connection is gone. @internal */
  lost() {
    this.end("failed", "lost");
  }

  /** @param {TransferState} state @param {string} reason @protected */
  end(state, reason) {
    if (this.ended) return;
    // Chromium was seen not to notice the end of a channel on which it still has much to send.
    const says = this.state === "running" && state !== "done" && this.channel.readyState === "open";
    if (says) this.channel.send(JSON.stringify({ type: "cancel" }));
    this.become(state, reason);
    this.channel.close();
  }

  /** @param {TransferState} state @param {string} [reason] @protected */
  become(state, reason = "") {
    this.state = state;
    this.reason = reason;
    this.dispatchEvent(new Event("state"));
  }

  /** @param {number} moved @protected */
  progress(moved) {
    this.moved = moved;
    this.dispatchEvent(new Event("progress"));
  }
}

/** A file that we offer. */
class Outgoing extends Transfer {
  #file;
  #chunk;

  /** @param {Peer} peer @param {File} file */
  constructor(peer, file) {
    const { connection } = peer;
    super("out", peer, connection.createDataChannel(FILE));
    this.#file = file;
    this.#chunk = Math.min(CHUNK, connection.sctp?.maxMessageSize || CHUNK);
    this.name = cleaned(file.name);
    this.size = file.size;
    this.type = file.type;
    const { name, size, type } = this;
    this.channel.onopen = () => this.channel.send(JSON.stringify({ name, size, type }));
    this.channel.onmessage = ({ data }) => this.#hear(data);
  }

  /** @param {unknown} data */
  #hear(data) {
    const message = parsed(data);
    if (this.ended || !message) return;
    if (message.type === "accept" && this.state === "offered") {
      this.become("running");
      void this.#send().catch(() => this.end("failed", "broken"));
    } else if (message.type === "moved" && this.#canMove(message.bytes)) {
      this.progress(message.bytes);
      if (message.bytes === this.size) this.end("done", "");
    } else if (message.type === "cancel") {
      this.cancel();
    } else if (message.type === "refuse") {
      this.end("refused", ["too-large", "too-many"].includes(message.reason) ? message.reason : "refused");
    }
  }

  /** @param {unknown} bytes that the other side says it has */
  #canMove(bytes) {
    const isCount = typeof bytes === "number" && Number.isSafeInteger(bytes);
    return isCount && this.state === "running" && bytes >= this.moved && bytes <= this.size;
  }

  async #send() {
    for (let at = 0; at < this.size && !this.ended; at += this.#chunk) {
      const bytes = await this.#file.slice(at, at + this.#chunk).arrayBuffer();
      if (this.channel.bufferedAmount > MOST_WAITING) await this.#drained();
      if (this.channel.readyState !== "open") return;
      this.channel.send(bytes);
    }
  }

  /** Resolves when less waits, or nothing will go any more. */
  #drained() {
    this.channel.bufferedAmountLowThreshold = LOW;
    return new Promise((resolve) => {
      this.channel.addEventListener("bufferedamountlow", resolve, { once: true });
      this.channel.addEventListener("close", resolve, { once: true });
    });
  }
}

/** A file that is offered to us. */
class Incoming extends Transfer {
  #most;
  #offered;
  /** What has come: whole pages, and one that fills. @type {Blob[]} */
  #pages = [];
  #page = new Uint8Array(0);
  #filled = 0;
  #told = 0;
  /** Whether it is known what it is. */
  #announced = false;
  /** For what has to come next. @type {ReturnType<typeof setTimeout> | undefined} */
  #deadline;
  /** @type {Later<Blob> | undefined} */
  #whole;

  /**
   * @param {Peer} peer @param {RTCDataChannel} channel @param {number} most bytes
   * @param {(transfer: Incoming) => void} offered once it is known what it is
   */
  constructor(peer, channel, most, offered) {
    super("in", peer, channel);
    this.#most = most;
    this.#offered = offered;
    this.#within(HEADER_WITHIN_MS, () => this.end("failed", "broken"));
    channel.onmessage = ({ data }) => (this.#announced ? this.#bytes(data) : this.#header(data));
  }

  accept() {
    if (this.state !== "offered" || !this.#announced) return super.accept();
    this.#whole = later();
    this.become("running");
    this.channel.send(JSON.stringify({ type: "accept" }));
    if (this.size === 0) this.#finish();
    else this.#awaitMore();
    return this.#whole.promise;
  }

  refuse() {
    if (this.state === "running") this.cancel();
    else this.#decline("refused");
  }

  /** There are too many already. @internal */
  decline() {
    const say = () => this.#decline("too-many");
    if (this.channel.readyState === "connecting") this.channel.onopen = say;
    else say();
  }

  /** @param {string} reason */
  #decline(reason) {
    if (this.ended) return;
    if (this.channel.readyState === "open") this.channel.send(JSON.stringify({ type: "refuse", reason }));
    this.become("refused", reason);
    this.#awaitClose();
  }

  /** The other side closes the channel when it has heard all: what is sent just before an end may be lost with it. */
  #awaitClose() {
    this.#within(CLOSE_WITHIN_MS, () => this.channel.close());
  }

  #awaitMore() {
    this.#within(STALLED_MS, () => this.end("failed", "lost"));
  }

  /** @param {number} ms @param {() => void} otherwise */
  #within(ms, otherwise) {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(otherwise, ms);
  }

  /** @param {unknown} data */
  #header(data) {
    if (this.ended) return;
    const header = parsed(data);
    const { name, size, type } = header ?? {};
    if (typeof name !== "string" || !Number.isSafeInteger(size) || size < 0) return this.end("failed", "broken");
    clearTimeout(this.#deadline);
    this.#announced = true;
    this.name = cleaned(name);
    this.size = size;
    this.type = typeof type === "string" && /^[\w.+-]+\/[\w.+-]+$/.test(type) ? type : "";
    if (size > this.#most) return this.#decline("too-large");
    this.#offered(this);
  }

  /** @param {unknown} data */
  #bytes(data) {
    if (this.ended) return;
    if (parsed(data)?.type === "cancel") return this.cancel();
    const bytes = data instanceof ArrayBuffer && this.state === "running" ? new Uint8Array(data) : new Uint8Array(0);
    // Nobody asked for it, or it is more than was said, or nothing.
    if (bytes.length === 0 || this.moved + bytes.length > this.size) return this.end("failed", "broken");
    this.#put(bytes);
    this.progress(this.moved + bytes.length);
    if (this.moved === this.size) return this.#finish();
    this.#awaitMore();
    if (this.moved - this.#told >= TELL_EVERY) this.#tell();
  }

  /** @param {Uint8Array} bytes */
  #put(bytes) {
    for (let at = 0; at < bytes.length; ) {
      if (this.#filled === this.#page.length) this.#turn();
      const piece = bytes.subarray(at, at + this.#page.length - this.#filled);
      this.#page.set(piece, this.#filled);
      this.#filled += piece.length;
      at += piece.length;
    }
  }

  /** Begins a page. */
  #turn() {
    if (this.#filled > 0) this.#pages.push(new Blob([this.#page.subarray(0, this.#filled)]));
    this.#page = new Uint8Array(Math.min(PAGE, this.size));
    this.#filled = 0;
  }

  #forget() {
    this.#pages = [];
    this.#page = new Uint8Array(0);
    this.#filled = 0;
  }

  #tell() {
    this.#told = this.moved;
    this.channel.send(JSON.stringify({ type: "moved", bytes: this.moved }));
  }

  #finish() {
    this.#tell();
    this.become("done");
    const last = this.#page.subarray(0, this.#filled);
    this.#whole?.resolve(new Blob([...this.#pages, last], { type: this.type }));
    this.#forget();
    this.#awaitClose();
  }

  /** @param {TransferState} state @param {string} reason @protected */
  end(state, reason) {
    clearTimeout(this.#deadline);
    if (this.ended) return this.channel.close();
    this.#forget();
    super.end(state, reason);
    this.#whole?.reject(new DOMException(`The file did not come: ${reason || state}.`, "AbortError"));
  }
}

/** The transfers to and from one other. */
export class Files {
  #peer;
  #most;
  #tell;
  /** @type {Set<Transfer>} whose channels are open */
  #all = new Set();

  /**
   * @param {Peer} peer @param {number} most the longest that is taken, in bytes
   * @param {(transfer: Incoming) => void} tell of one that is offered
   */
  constructor(peer, most, tell) {
    this.#peer = peer;
    this.#most = most;
    this.#tell = tell;
  }

  /** @param {File} file @returns {Transfer} */
  send(file) {
    return this.#keep(new Outgoing(this.#peer, file));
  }

  /** @param {RTCDataChannel} channel */
  offered(channel) {
    const coming = [...this.#all].filter(({ direction }) => direction === "in");
    if (coming.length >= MOST_CHANNELS) return channel.close();
    const transfer = this.#keep(new Incoming(this.#peer, channel, this.#most, this.#tell));
    if (coming.filter(({ ended }) => !ended).length >= MOST_AT_ONCE) transfer.decline();
  }

  /** The connection is gone. */
  close() {
    for (const transfer of this.#all) transfer.lost();
    // Channels of a closed connection are not always said to close.
    this.#all.clear();
  }

  /** @template {Transfer} T @param {T} transfer @returns {T} */
  #keep(transfer) {
    this.#all.add(transfer);
    transfer.channel.addEventListener("close", () => this.#all.delete(transfer));
    return transfer;
  }
}

/** Of a name that anybody can make up: no path, nothing invisible. @param {string} name @returns {string} */
function cleaned(name) {
  return name.replaceAll(/[\p{C}/\\]/gu, "_").slice(0, MOST_NAME) || "file";
}

/** @param {unknown} data @returns {any} */
function parsed(data) {
  if (typeof data !== "string" || data.length > MOST_HEADER) return null;
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}
