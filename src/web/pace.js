/**
 * Steps down what one other is sent when packets are lost or the processor can't keep up, and carefully back up. The
 * browser's own congestion control does the fine work; this is for what it does not do: fewer pixels and frames.
 * Used through lanturn.js.
 *
 * @import { StepReason } from "./lanturn.js"
 */

import { LAST_STEP } from "./quality.js";

/** A share of packets. */
const MUCH_LOSS = 0.08;
const LITTLE_LOSS = 0.02;
/** Readings in a row, of a second each. */
const BAD_READINGS = 3;
const GOOD_READINGS = 10;
/** How long it takes to step up at most, after steps up that were too early. */
const MOST_GOOD_READINGS = 120;

export class Pace {
  /** 0, as asked, to the last step. */
  step = 0;
  /** @type {StepReason | null} why the last step down was made */
  because = null;
  #bad = 0;
  #good = 0;
  #patience = GOOD_READINGS;
  /** Readings since the last step up. */
  #since = Infinity;

  /**
   * Takes the reading of one second.
   * @param {{loss: number | null, limitedBy: string | null}} reading `loss` null: nothing is known
   * @returns {boolean} whether the step has changed
   */
  observe({ loss, limitedBy }) {
    this.#since += 1;
    const why = limitedBy === "cpu" ? "cpu" : loss !== null && loss > MUCH_LOSS ? "loss" : null;
    this.#bad = why ? this.#bad + 1 : 0;
    // In between, or unknown, it is left as it is.
    if (why || (loss !== null && loss > LITTLE_LOSS)) this.#good = 0;
    else if (loss !== null) this.#good += 1;
    if (why && this.#bad >= BAD_READINGS) return this.#down(why);
    if (this.#good >= this.#patience) return this.#up();
    return false;
  }

  /** @param {StepReason} why */
  #down(why) {
    this.#bad = this.#good = 0;
    if (this.step === LAST_STEP) return false;
    // The last step up was too early.
    if (this.#since <= GOOD_READINGS) this.#patience = Math.min(MOST_GOOD_READINGS, this.#patience * 2);
    this.step += 1;
    this.because = why;
    return true;
  }

  #up() {
    this.#good = 0;
    if (this.step === 0) {
      this.#patience = GOOD_READINGS;
      return false;
    }
    this.step -= 1;
    this.#since = 0;
    if (this.step === 0) this.because = null;
    return true;
  }
}
