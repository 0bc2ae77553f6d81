/**
 * Sees that nothing comes where something should: a browser was seen to send over a pair of addresses on which the other
 * did not take it, while both said that all was well. Used through lanturn.js.
 *
 * @import { Reading } from "./stats.js"
 */

/** Readings in a row, of a second each, without a packet, before something is done; then as many more each time. */
const SILENT_READINGS = 5;
/** How often it is tried. After that the other side has nothing to send. */
const MOST_TRIES = 3;

export class Stall {
  /** By their `mid`. @type {Map<string, {packets: number, silent: number, tries: number}>} */
  #sections = new Map();

  /**
   * Takes the reading of one second.
   * @param {string[]} mids of the sections in which something is to come @param {Reading} reading
   * @returns {boolean} whether it is time to do something
   */
  observe(mids, { all }) {
    for (const mid of this.#sections.keys()) if (!mids.includes(mid)) this.#sections.delete(mid);
    const due = mids.map((mid) => this.#isDue(mid, received(all, mid)));
    return due.includes(true);
  }

  /** @param {string} mid @param {number} packets in all */
  #isDue(mid, packets) {
    const section = this.#sections.get(mid);
    if (!section || packets !== section.packets) {
      this.#sections.set(mid, { packets, silent: 0, tries: 0 });
      return false;
    }
    section.silent += 1;
    if (section.tries === MOST_TRIES || section.silent < SILENT_READINGS * 2 ** section.tries) return false;
    section.silent = 0;
    section.tries += 1;
    return true;
  }
}

/** @param {any[]} all @param {string} mid */
function received(all, mid) {
  const streams = all.filter((entry) => entry.type === "inbound-rtp" && entry.mid === mid);
  return streams.reduce((sum, { packetsReceived = 0 }) => sum + packetsReceived, 0);
}
