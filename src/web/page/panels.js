/** The panels beside the call, of which one is open at a time, and their buttons. Escape closes what is open. */

import { element } from "./dom.js";

/** @type {{panel: HTMLElement, opener: HTMLElement} | null} */
let open = null;
/** @type {((id: string | null) => void)[]} */
const watchers = [];

/** @param {(id: string | null) => void} watcher told which panel is open now */
export function onPanel(watcher) {
  watchers.push(watcher);
}

/** @param {string} id */
export const isOpen = (id) => open?.panel.id === id;

/** @param {string} id @param {HTMLElement} opener what gets the focus back */
export function openPanel(id, opener) {
  closePanel({ refocus: false });
  const panel = element(id, HTMLElement);
  open = { panel, opener };
  panel.hidden = false;
  mark();
  const first = /** @type {HTMLElement | null} */ (panel.querySelector("[data-first], h2"));
  first?.focus();
}

export function closePanel({ refocus = true } = {}) {
  if (!open) return;
  const { panel, opener } = open;
  const hadFocus = panel.contains(document.activeElement);
  open = null;
  panel.hidden = true;
  mark();
  if (refocus && hadFocus) opener.focus();
}

function mark() {
  for (const each of document.querySelectorAll("[data-panel]")) {
    each.setAttribute("aria-expanded", String(each.getAttribute("data-panel") === open?.panel.id));
  }
  for (const watcher of watchers) watcher(open?.panel.id ?? null);
}

export function startPanels() {
  for (const each of document.querySelectorAll("[data-panel]")) {
    each.addEventListener("click", () => {
      const id = each.getAttribute("data-panel") ?? "";
      if (isOpen(id)) closePanel();
      else openPanel(id, /** @type {HTMLElement} */ (each));
    });
  }
  for (const each of document.querySelectorAll("[data-close]")) each.addEventListener("click", () => closePanel());
  document.addEventListener("keydown", (event) => {
    // What lies above a panel, such as a menu or a question, takes the key first.
    const above = document.querySelector("dialog[open], :popover-open") || document.fullscreenElement;
    if (event.key === "Escape" && !event.defaultPrevented && !above) closePanel();
  });
}
