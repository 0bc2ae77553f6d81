/** The rest of the page, which the lobby does without: it comes when somebody is about to need it. */

import { addressedRoom } from "./address.js";
import { element } from "./dom.js";

/** @typedef {typeof import("./room.js")} Rest */

/** For who does nothing at first. */
const IDLE_MS = 2_000;

/** What is there. @type {Rest | null} */
let loaded = null;
/** @type {Promise<Rest> | null} */
let coming = null;

export const loadedRest = () => loaded;

/** At once for who came by a link, and for anybody else as soon as they do something. */
export function startLoading() {
  const begin = () => void load().catch(() => {});
  if (addressedRoom()) return begin();
  for (const type of ["keydown", "pointerdown"]) addEventListener(type, begin, { once: true });
  addEventListener("load", () => void setTimeout(begin, IDLE_MS), { once: true });
}

/**
 * For who can't go on without it.
 * @param {string} address where to begin anew @returns {Promise<Rest>} rejects with the id "unreachable"
 */
export async function needRest(address) {
  try {
    return await load();
  } catch (error) {
    // Many browsers do not ask again for a module that once did not come, until the page itself is loaded again.
    const isThere = await fetch("/page/room.js").then(({ ok }) => ok, () => false);
    if (isThere) {
      history.replaceState(null, "", address);
      location.reload();
    }
    throw Object.assign(new Error(error.message), { id: "unreachable" });
  }
}

/** @returns {Promise<Rest>} */
function load() {
  coming ??= begin();
  coming.catch(() => (coming = null));
  return coming;
}

async function begin() {
  // All of it at once, rather than each when another is found to import it.
  document.head.append(element("rest", HTMLTemplateElement).content.cloneNode(true));
  const rest = await import("./room.js");
  rest.startRoom();
  return (loaded = rest);
}
