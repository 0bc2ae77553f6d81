/** Light or dark: as the system says, or as chosen. */

import { button } from "./dom.js";
import { keep, recall } from "./kept.js";

const THEMES = ["auto", "light", "dark"];

/** @param {string} theme */
function apply(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  for (const each of document.querySelectorAll("[name=theme]")) {
    if (each instanceof HTMLInputElement) each.checked = each.value === theme;
  }
}

/** @param {string} theme */
function choose(theme) {
  keep("theme", theme);
  apply(theme);
}

export function startTheme() {
  const kept = recall("theme");
  apply(THEMES.includes(kept) ? kept : "auto");
  for (const each of document.querySelectorAll("[name=theme]")) {
    each.addEventListener("change", () => choose(/** @type {HTMLInputElement} */ (each).value));
  }
  // The short way: to the other of the two that is seen.
  button("next-theme").addEventListener("click", () => {
    const seen = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    choose(seen === "dark" ? "light" : "dark");
  });
}
