/**
 * What was said and heard in one membership, so that nothing is lost or doubled when its connection drops: our own
 * numbers and what may have to be said again, and the highest number of theirs. Used through lanturn.js.
 */

/** The box takes 200 at once, these and what follows. Whoever has more to say again has lost the membership. */
const MOST = 128;

export class Ledger {
  #n = 0;
  /** @type {{n: number}[]} */
  #unsure = [];
  /** Our highest number when each ping went out that has no pong yet. @type {number[]} */
  #pings = [];
  /** The highest `n` that came. */
  last = 0;
  /** Whether something was not kept: then nothing can be resumed. */
  overflows = false;
  #lost = 0;

  /**
   * Numbers a message and keeps it, unless that is too many.
   * @template {object} T @param {T} message @returns {T & {n: number}}
   */
  enter(message) {
    const entry = { ...message, n: ++this.#n };
    if (this.#unsure.length < MOST) this.#unsure.push(entry);
    else {
      this.overflows = true;
      this.#lost = entry.n;
    }
    return entry;
  }

  pinged() {
    this.#pings.push(this.#n);
  }

  /** The box answers in order: what was said before the ping has come. */
  ponged() {
    this.#received(this.#pings.shift() ?? 0);
  }

  /** On a new connection. @param {number} received by the box @returns {object[]} what is to be said again */
  resumed(received) {
    this.#pings = [];
    this.#received(received);
    return this.#unsure;
  }

  /** @param {{n?: number}} message @returns {boolean} whether it is new */
  hears({ n }) {
    if (n === undefined) return true;
    if (n <= this.last) return false;
    this.last = n;
    return true;
  }

  /** @param {number} n */
  #received(n) {
    if (n >= this.#lost) this.overflows = false;
    this.#unsure = this.#unsure.filter((entry) => entry.n > n);
  }
}
