/**
 * Text between two, and who is muted, over one data channel. Both sides greet first, so that each knows that the other
 * understands: clients of another make may have a channel and not read it. Used through lanturn.js.
 *
 * @import { Kind } from "./lanturn.js"
 * @typedef {{said: (text: string) => void, muted: (muted: Record<Kind, boolean>) => void, changed: () => void}} Hearers
 */

/** The channel's label. */
export const CHAT = "lanturn";
/** In characters (UTF-16 code units). */
export const MOST_TEXT = 4_000;
/** A longer message is not ours. */
const MOST_MESSAGE = 20_000;
/** Bytes that wait to be sent; whoever does not read gets no more. */
const MOST_WAITING = 1024 * 1024;

export class Chat {
  #channel;
  #hearers;
  #greeted = false;
  /** @type {Record<Kind, boolean>} */
  #muted;

  /** @param {RTCDataChannel} channel @param {Record<Kind, boolean>} muted ours @param {Hearers} hearers */
  constructor(channel, muted, hearers) {
    this.#channel = channel;
    this.#hearers = hearers;
    this.#muted = muted;
    const greet = () => this.#send({ type: "hello", v: 1, muted: this.#muted });
    if (channel.readyState === "open") greet();
    else channel.onopen = greet;
    channel.onclose = () => hearers.changed();
    channel.onmessage = ({ data }) => this.#hear(data);
  }

  /** Whether the other side reads what is said. */
  get open() {
    return this.#greeted && this.#channel.readyState === "open";
  }

  /** @param {string} text @returns {boolean} whether it was sent */
  say(text) {
    return this.open && this.#send({ type: "chat", text });
  }

  /** @param {Record<Kind, boolean>} muted ours */
  mute(muted) {
    this.#muted = { ...muted };
    if (this.#channel.readyState === "open") this.#send({ type: "muted", muted });
  }

  /** @param {object} message @returns {boolean} */
  #send(message) {
    if (this.#channel.bufferedAmount > MOST_WAITING) return false;
    this.#channel.send(JSON.stringify(message));
    return true;
  }

  /** @param {unknown} data */
  #hear(data) {
    const message = parsed(data);
    if (message?.type === "hello") {
      this.#greeted = true;
      this.#hearers.changed();
    }
    const { muted, text } = message ?? {};
    if (muted && typeof muted === "object") {
      this.#hearers.muted({ audio: muted.audio === true, video: muted.video === true });
    }
    if (message?.type === "chat" && isText(text)) this.#hearers.said(text);
  }
}

/** @param {unknown} text @returns {text is string} */
export function isText(text) {
  return typeof text === "string" && text.length > 0 && text.length <= MOST_TEXT;
}

/** @param {unknown} data @returns {any} null if it is no message of ours */
function parsed(data) {
  if (typeof data !== "string" || data.length > MOST_MESSAGE) return null;
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}
