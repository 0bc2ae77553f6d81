/** The page's words in the chosen language. */

import { en } from "./words/en.js";
import { ko } from "./words/ko.js";

/** @typedef {keyof typeof en | keyof typeof import("./words/trust-en.js").en} Key */

/** @type {Record<string, Record<string, string>>} */
export const languages = { en: { ...en }, ko: { ...ko } };

let chosen = "en";

export const language = () => chosen;

/** @param {readonly string[]} preferred in order; what we don't speak is skipped @returns {string} */
export function choose(preferred) {
  const codes = preferred.map((tag) => tag.toLowerCase().split("-")[0]);
  chosen = codes.find((code) => Object.hasOwn(languages, code)) ?? "en";
  return chosen;
}

/** What a page says besides, which the call page need not load. @param {Record<string, Record<string, string>>} words by language */
export function addWords(words) {
  for (const [code, more] of Object.entries(words)) Object.assign(languages[code], more);
}

/** @param {Key} key @param {Record<string, string | number>} [facts] @returns {string} */
export function t(key, facts = {}) {
  return languages[chosen][key].replace(/\{(\w+)\}/g, (_, name) => String(facts[name] ?? ""));
}

/** What to say about an error of a room. @param {{id: string, text: string}} error @param {string} [name] */
export function errorText(error, name) {
  const key = `error_${error.id}`;
  if (!Object.hasOwn(en, key)) return t("error_unknown", { text: error.text });
  return t(/** @type {Key} */ (key), { name: name ?? "" });
}
