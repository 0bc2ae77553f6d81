/**
 * Sees a call that takes TCP to the relay, where UDP may do. Browsers look for ways no longer once one is found, so a single
 * lost packet can leave UDP out of it for good. Used through lanturn.js.
 *
 * @import { Path } from "./lanturn.js"
 */

/** After so many readings, of a second each, it is looked again; and the last time after so many more. */
const LOOKS = [3, 12];

export class Detour {
  #readings = 0;
  #looks = 0;

  /** @param {RTCConfiguration} configuration what there is to look for */
  constructor({ iceServers = [] }) {
    const urls = iceServers.flatMap((server) => server.urls);
    if (!urls.some((url) => /^turn:.*transport=udp/.test(url))) this.#looks = LOOKS.length;
  }

  /** Takes the reading of one second. @param {Path | null} path @returns {boolean} whether it is time to look again */
  observe(path) {
    if (path?.localType !== "relay" || path.transport === "udp") this.#readings = 0;
    else this.#readings += 1;
    if (this.#readings < (LOOKS[this.#looks] ?? Infinity)) return false;
    this.#readings = 0;
    this.#looks += 1;
    return true;
  }
}
