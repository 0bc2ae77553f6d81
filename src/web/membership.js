/**
 * A place in a room, over as many connections to the box as it takes: joins, resumes when the connection drops, and says
 * again what may have been lost. What is said in the room is lanturn.js's affair. Used through lanturn.js.
 *
 * @import { Reason } from "./line.js"
 * @typedef {{hello: () => object, heard: (message: any) => void, back: () => void,
 *   away: (why: Reason, retryIn: number) => void, gone: () => void, over: (why: Reason) => void}} Handlers
 */

import { Ledger } from "./ledger.js";
import { Line } from "./line.js";
import { backOff } from "./retry.js";

/** After these, another attempt may go well; after any other fatal error it would end the same way. */
const WORTH_RETRYING = new Set(["unreachable", "timeout", "rate-limited", "hello-timeout", "slow-reader"]);
/** An invite is for a PIN: in a box that began anew it opens the room once somebody is back who brings that. */
const INVITE_WAITS_MS = 60_000;

/**
 * Calls `hello` for what to join with, `heard` for each message that is new, `away` when the connection dropped,
 * `back` once it is resumed, `gone` before all begins anew with `joined`, and last `over`, once, when it can't.
 */
export class Membership {
  #url;
  #handlers;
  /** @type {Line | null} */
  #line = null;
  /** Whether the box has let us in on the present line. */
  #settled = false;
  /** Whether it ever has. */
  #entered = false;
  #over = false;
  /** @type {string | undefined} what it is resumed with */
  #token;
  #ledger = new Ledger();
  #attempt = 0;
  /** Since when the invite opens the room no more: 0 while it does. */
  #uninvitedAt = 0;
  /** Counts what was said with the token: the box passes over what comes late. */
  #resumes = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;

  /** @param {string} url @param {Handlers} handlers */
  constructor(url, handlers) {
    this.#url = url;
    this.#handlers = handlers;
  }

  /** Whether the box hears us now. */
  get settled() {
    return this.#settled;
  }

  dial() {
    clearTimeout(this.#retry);
    try {
      this.#line = this.#open();
    } catch (error) {
      // Not for lack of a network: the browser would have said so later.
      this.end({ id: "unreachable", text: error.message });
    }
  }

  #open() {
    /** @type {Line} */
    const line = new Line(this.#url, {
      opened: () => this.#greet(line),
      pinging: () => this.#ledger.pinged(),
      heard: (message) => this.#line === line && this.#hear(message),
      lost: (why) => this.#line === line && this.#lost(line, why),
    });
    return line;
  }

  /** What need not be said again. @param {object} message */
  tell(message) {
    this.#line?.send(message);
  }

  /** What arrives once, now or when the connection is back. @param {object} message */
  say(message) {
    const entry = this.#ledger.enter(message);
    if (this.#settled) this.#line?.send(entry);
  }

  /** The network is back: no need to wait for the next attempt, or for the heartbeat to notice. */
  hurry() {
    if (this.#settled) this.#line?.probe();
    else if (!this.#line && !this.#over) this.dial();
  }

  /** For good. @param {Reason} why */
  end(why) {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#retry);
    const line = this.#line;
    this.#line = null;
    this.#settled = false;
    line?.end(why);
    this.#handlers.over(why);
  }

  /** @param {Line} line */
  #greet(line) {
    const token = this.#token;
    if (!token) return this.#begin(line);
    const { last, overflows } = this.#ledger;
    // Who can't say all of it again begins anew, in the same place.
    line.send({ type: "resume", token, last, attempt: ++this.#resumes, fresh: overflows, forgets: true });
  }

  /** @param {Line | null} line */
  #begin(line) {
    // The token is here and nowhere else: a page that goes, or crashes, has left.
    line?.send({ type: "join", v: 1, ...this.#handlers.hello(), resume: true, forgets: true });
  }

  /** @param {Line} line @param {Reason} why */
  #lost(line, why) {
    this.#line = null;
    this.#settled = false;
    if (!this.#entered || !this.#isPassing(why)) {
      // Or an answer that comes late would put somebody into the room who is not there.
      line.end(why);
      return this.end(why);
    }
    const retryIn = backOff(this.#attempt++, Math.random());
    this.#retry = setTimeout(() => this.dial(), retryIn);
    this.#handlers.away(why, retryIn);
  }

  /** @param {Reason} why */
  #isPassing(why) {
    if (why.id !== "bad-invite") return WORTH_RETRYING.has(why.id);
    this.#uninvitedAt ||= performance.now();
    return performance.now() - this.#uninvitedAt < INVITE_WAITS_MS;
  }

  /** @param {any} message */
  #hear(message) {
    if (!this.#ledger.hears(message)) return;
    if (message.type === "pong") return this.#ledger.ponged();
    if (message.type === "error" && !this.#settled) return this.#refused(message);
    if (message.type === "joined") {
      if (this.#entered) this.#handlers.gone();
      this.#token = message.resume?.token;
      this.#ledger = new Ledger();
    }
    if (message.type === "joined" || message.type === "resumed") this.#settle();
    this.#handlers.heard(message);
    if (message.type !== "resumed") return;
    for (const unsure of this.#ledger.resumed(message.received)) this.#line?.send(unsure);
    this.#handlers.back();
  }

  #settle() {
    this.#settled = this.#entered = true;
    this.#attempt = 0;
    this.#uninvitedAt = 0;
    this.#line?.settle();
  }

  /** What was said to our greeting. @param {{id: string, text: string, fatal: boolean}} error */
  #refused(error) {
    // The line's end says the same.
    if (error.fatal) return;
    if (error.id !== "gone") return this.#line?.end(error);
    this.#token = undefined;
    this.#begin(this.#line);
  }
}
