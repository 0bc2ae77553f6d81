/** Which language the page speaks: the one chosen here before, or the first of the browser's that it knows. */

import { choose, language } from "./i18n.js";
import { keep, recall } from "./kept.js";

/** @param {() => void} speak fills in what the page says */
export function startLanguage(speak) {
  const selects = [...document.querySelectorAll("[data-choice=language]")].filter((each) => each instanceof HTMLSelectElement);
  const turn = (/** @type {string[]} */ ...preferred) => {
    choose(preferred);
    document.documentElement.lang = language();
    for (const each of selects) each.value = language();
    speak();
  };
  for (const each of selects) {
    each.addEventListener("change", () => {
      keep("language", each.value);
      turn(each.value);
    });
  }
  turn(recall("language"), ...navigator.languages);
}
