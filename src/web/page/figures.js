/** Figures in the chosen language. */

import { language } from "./i18n.js";

/** @param {number} rate bit/s */
export function bits(rate) {
  const [unit, value] = rate >= 1e6 ? ["Mbit/s", rate / 1e6] : ["kbit/s", rate / 1e3];
  return `${number(value, value < 10 ? 1 : 0)} ${unit}`;
}

/** @param {number} seconds */
export const milliseconds = (seconds) => `${number(Math.max(0, seconds * 1000), seconds < 0.01 ? 1 : 0)} ms`;

/** @param {number} share 0 to 1 */
export const percent = (share) => `${number(share * 100, share < 0.1 ? 1 : 0)} %`;

/** @param {number} value @param {number} digits */
export function number(value, digits) {
  return new Intl.NumberFormat(language(), { maximumFractionDigits: digits }).format(value);
}
