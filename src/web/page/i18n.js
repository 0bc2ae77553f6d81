/** The page's words in the chosen language. */

import { en } from "./words/en.js";
import { ko } from "./words/ko.js";

/** @typedef {keyof typeof en} Key */

/** @type {Record<string, Record<Key, string>>} */
export const languages = { en, ko };

let chosen = "en";

export const language = () => chosen;

/** @param {readonly string[]} preferred in order; what we don't speak is skipped @returns {string} */
export function choose(preferred) {
  const codes = preferred.map((tag) => tag.toLowerCase().split("-")[0]);
  chosen = codes.find((code) => Object.hasOwn(languages, code)) ?? "en";
  return chosen;
}

/** @param {Key} key @param {Record<string, string | number>} [facts] @returns {string} */
export function t(key, facts = {}) {
  return languages[chosen][key].replace(/\{(\w+)\}/g, (_, name) => String(facts[name] ?? ""));
}

/** Adds the words of another page of ours. @param {Record<string, Record<string, string>>} more by language */
export function teach(more) {
  for (const [code, words] of Object.entries(more)) Object.assign(languages[code], words);
}

/** What to say about an error of a room. @param {{id: string, text: string}} error @param {string} [name] */
export function errorText(error, name) {
  const key = `error_${error.id}`;
  if (!Object.hasOwn(en, key)) return t("error_unknown", { text: error.text });
  return t(/** @type {Key} */ (key), { name: name ?? "" });
}
