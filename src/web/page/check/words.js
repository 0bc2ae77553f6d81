/** The words of the page /check, in the chosen language. */

import { addWords, t } from "../i18n.js";
import { en } from "./words/en.js";
import { ko } from "./words/ko.js";

/** @typedef {keyof typeof en} Word */

export const words = { en, ko };

addWords(words);

/** @param {Word} key @param {Record<string, string | number>} [facts] @returns {string} */
export const tell = (key, facts) => t(/** @type {any} */ (key), facts);
