/** The page's elements: found, made, and filled with the words of the chosen language. */

import { t } from "./i18n.js";

/** @import { Key } from "./i18n.js" */

/** @typedef {() => string} Words in the language of now */

/** What was said last in an element, by its id. @type {Map<string, Words>} */
const said = new Map();
/** By then a screen reader has taken note of what was added. */
const HEARD_MS = 10_000;
const SVG = "http://www.w3.org/2000/svg";

/** @template {HTMLElement} T @param {string} id @param {new () => T} type @returns {T} */
export function element(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return found;
}

export const button = (/** @type {string} */ id) => element(id, HTMLButtonElement);
export const input = (/** @type {string} */ id) => element(id, HTMLInputElement);

/** @param {string} tag @param {string} className @param {(Node | string)[]} children @returns {HTMLElement} */
export function make(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

/** @param {string} className @param {(Node | string)[]} children @returns {HTMLButtonElement} */
export function makeButton(className, ...children) {
  const made = /** @type {HTMLButtonElement} */ (make("button", className, ...children));
  made.type = "button";
  return made;
}

/** One of the drawings at the top of index.html. @param {string} name @param {boolean} [slashed] */
export function icon(name, slashed = false) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("aria-hidden", "true");
  for (const part of slashed ? [name, "slash"] : [name]) {
    const use = document.createElementNS(SVG, "use");
    use.setAttribute("href", `#icon-${part}`);
    if (part === "slash") use.setAttribute("class", "slash");
    drawing.append(use);
  }
  return drawing;
}

/** The drawing of somebody who sends no picture. @param {string} id @param {string} name */
export function paintLetter(/** @type {HTMLElement} */ letter, id, name) {
  let sum = 0;
  for (const character of id) sum += character.charCodeAt(0);
  letter.dataset.hue = String(sum % 6);
  letter.textContent = [...name][0] ?? "";
}

/** Fills in every text of the page that does not change by itself. */
export function translate() {
  /** @param {string} name @param {(each: Element, text: string) => void} put */
  const fill = (name, put) => {
    for (const each of document.querySelectorAll(`[data-${name}]`)) {
      put(each, t(/** @type {Key} */ (each.getAttribute(`data-${name}`))));
    }
  };
  fill("text", (each, text) => (each.textContent = text));
  fill("hint", (each, text) => each.setAttribute("placeholder", text));
  fill("alt", (each, text) => each.setAttribute("alt", text));
  fill("label", (each, text) => {
    each.setAttribute("aria-label", text);
    if (each instanceof HTMLButtonElement) each.title = text;
  });
  for (const [id, words] of said) element(id, HTMLElement).textContent = words();
}

/** Says something to those who listen to the page instead of looking at it, also twice the same. @param {string} text */
export function announce(text) {
  const line = make("p", "", text);
  element("live", HTMLElement).append(line);
  setTimeout(() => line.remove(), HEARD_MS);
}

/** Something is wrong. @param {Words} [words] none hides it @param {{href: string, words: Words}} [way] out of it */
export function notice(words, way) {
  element("notice", HTMLElement).hidden = !words;
  say("notice-text", words);
  const link = element("notice-link", HTMLAnchorElement);
  link.hidden = !way;
  link.href = way?.href ?? "";
  say("notice-link", way?.words);
}

/** Something that passes by itself. @param {Words} [words] none hides it */
export function calm(words) {
  element("calm", HTMLElement).hidden = !words;
  say("calm", words);
}

/** Puts words that change into an element; in another language they are said anew. @param {string} id @param {Words} [words] */
export function say(id, words = () => "") {
  said.set(id, words);
  element(id, HTMLElement).textContent = words();
}

/** Asks before something that can't be undone. @param {string} question @param {string} yes @returns {Promise<boolean>} */
export function confirmed(question, yes) {
  const dialog = /** @type {HTMLDialogElement} */ (make("dialog", ""));
  const text = make("p", "question", question);
  const [no, sure] = [makeButton("", t("cancel")), makeButton("danger", yes)];
  no.addEventListener("click", () => dialog.close());
  sure.addEventListener("click", () => dialog.close("yes"));
  dialog.setAttribute("aria-label", question);
  dialog.append(text, make("div", "actions", no, sure));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}

/** Where a browser forbids it, the text is selected so that it can be copied by hand. @param {HTMLInputElement} field */
export async function copy(field) {
  try {
    await navigator.clipboard.writeText(field.value);
    announce(t("copied"));
    return true;
  } catch {
    field.select();
    notice(() => t("copyFailed"));
    return false;
  }
}
