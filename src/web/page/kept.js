/** Words that a browser keeps from one visit to the next, such as the name. It may forbid keeping any. */

/** @typedef {"name" | "language" | "theme" | "hide-self" | "quality"} Kept */

/** @param {Kept} key @returns {string} "" when nothing is kept */
export function recall(key) {
  try {
    return localStorage.getItem(`lanturn.${key}`) ?? "";
  } catch {
    return "";
  }
}

/** @param {Kept} key @param {string} value */
export function keep(key, value) {
  try {
    localStorage.setItem(`lanturn.${key}`, value);
  } catch {
    // Then it is typed again next time.
  }
}
