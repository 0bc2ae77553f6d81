/** Lists to choose from, filled with words. */

import { make } from "./dom.js";

/** @typedef {{value: string, text: string}} Choice */

/** Fills a list anew, and keeps what is chosen. @param {HTMLSelectElement} select @param {Choice[]} choices @param {string} chosen */
export function fillSelect(select, choices, chosen) {
  select.replaceChildren(...choices.map(({ value, text }) => {
    const option = /** @type {HTMLOptionElement} */ (make("option", "", text));
    option.value = value;
    return option;
  }));
  select.value = chosen;
}

/**
 * Fills a group of radio buttons anew.
 * @param {HTMLElement} group @param {string} name @param {(Choice & {hint: string})[]} choices @param {string} chosen
 * @param {(value: string) => void} choose
 */
export function fillCards(group, name, choices, chosen, choose) {
  for (const label of group.querySelectorAll("label")) label.remove();
  for (const { value, text, hint } of choices) {
    const radio = document.createElement("input");
    Object.assign(radio, { type: "radio", name, value, checked: value === chosen });
    radio.addEventListener("change", () => choose(value));
    group.append(make("label", "", radio, make("span", "", text, make("small", "", hint))));
  }
}
