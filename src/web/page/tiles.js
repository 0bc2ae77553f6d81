/** All tiles, where they are, and what their menus do. */

import { button, element, make, makeButton, notice } from "./dom.js";
import { arrange, isInside } from "./grid.js";
import { t } from "./i18n.js";
import { Tile } from "./tile.js";

/** @import { Key } from "./i18n.js" */
/** @typedef {{text: string, act: () => void, className?: string}} Item */

/** By the id of whom they show, with "/screen" behind it for a screen. @type {Map<string, Tile>} */
const tiles = new Map();
/** The key of the tile that is large. */
let pinned = "";
/** Who is not to be heard, by the keys of their tiles: also when they have begun anew. @type {Set<string>} */
const mutedKeys = new Set();
/** What the browser lets nobody hear yet. @type {Set<Tile>} */
const hushed = new Set();
/** Our own tile is left out while somebody else is here. */
let selfHidden = false;
/** Where the sound comes out: "" leaves it to the browser. */
let speaker = "";
/** What has opened the menu. @type {HTMLElement | null} */
let opened = null;
/** What a menu offers besides what every tile can. @type {(tile: Tile) => Item[]} */
let moreItems = () => [];

const keyOf = (/** @type {string} */ id, screen = false) => (screen ? `${id}/screen` : id);
const grid = () => element("grid", HTMLElement);

/** @param {string} id @param {boolean} [screen] */
export const tileOf = (id, screen) => tiles.get(keyOf(id, screen));

/** @param {string} id @param {{self?: boolean, screen?: boolean}} kind @returns {Tile} */
export function addTile(id, kind) {
  const tile = new Tile(id, kind, { openMenu, hushed: hush });
  tiles.set(keyOf(id, kind.screen), tile);
  if (mutedKeys.has(keyOf(id, kind.screen))) tile.video.muted = true;
  if (speaker) sound(tile);
  // Our own stays the last.
  const own = kind.self ? null : grid().querySelector(".self");
  grid().insertBefore(tile.element, own);
  // A screen is what everybody looks at.
  if (kind.screen && !kind.self) pinned = keyOf(id, true);
  layOut();
  return tile;
}

/** @param {string} id @param {boolean} [screen] */
export function removeTile(id, screen) {
  const key = keyOf(id, screen);
  const tile = tiles.get(key);
  tile?.element.remove();
  tiles.delete(key);
  if (tile) hushed.delete(tile);
  offerSound();
  if (pinned === key) pinned = "";
  layOut();
}

export function removeTiles() {
  tiles.clear();
  hushed.clear();
  offerSound();
  pinned = "";
  grid().replaceChildren();
}

/** @param {string} deviceId */
export function useSpeaker(deviceId) {
  speaker = deviceId;
  for (const tile of tiles.values()) sound(tile);
}

/** @param {Tile} tile */
function sound({ video }) {
  video.setSinkId(speaker).catch(() => notice(() => t("notPossible")));
}

/** @param {Tile} tile */
function hush(tile) {
  hushed.add(tile);
  offerSound();
}

function offerSound() {
  button("hear").hidden = hushed.size === 0;
}

/** All that was kept silent is heard, now that the page has been pressed. */
function hearAll() {
  for (const tile of [...hushed]) mute(tile, false);
}

/** @param {Tile} tile @param {boolean} muted */
function mute(tile, muted) {
  const key = keyOf(tile.id, tile.screen);
  if (muted) mutedKeys.add(key);
  else mutedKeys.delete(key);
  tile.video.muted = muted;
  hushed.delete(tile);
  offerSound();
  void tile.start();
}

/** @param {boolean} hidden */
export function hideSelf(hidden) {
  selfHidden = hidden;
  layOut();
}

export function layOut() {
  const all = [...grid().children].flatMap((each) => [...tiles.values()].filter((tile) => tile.element === each));
  const others = all.some((tile) => !tile.self);
  // Alone we stay visible: an empty grid looks broken.
  for (const tile of all) tile.element.hidden = selfHidden && tile.self && !tile.screen && others;
  const shown = all.filter((tile) => !tile.element.hidden);
  const stage = shown.findIndex((tile) => keyOf(tile.id, tile.screen) === pinned);
  const self = shown.at(-1)?.self === true && !shown.at(-1)?.screen;
  const room = { width: grid().clientWidth, height: grid().clientHeight };
  const rects = arrange(room, shown.length, { stage: stage < 0 ? undefined : stage, self });
  shown.forEach((tile, i) => tile.place(rects[i], i > 0 && isInside(rects[i], rects[0])));
  grid().dataset.count = String(shown.length);
}

/** @param {(tile: Tile) => Item[]} more */
export function startTiles(more) {
  moreItems = more;
  button("hear").addEventListener("click", hearAll);
  new ResizeObserver(layOut).observe(grid());
  const menu = element("tile-menu", HTMLElement);
  menu.addEventListener("toggle", (event) => {
    if (/** @type {ToggleEvent} */ (event).newState === "closed") opened?.setAttribute("aria-expanded", "false");
  });
  addEventListener("resize", placeMenu);
  grid().addEventListener("transitionend", placeMenu);
  menu.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const items = [...menu.querySelectorAll("button")];
    const at = items.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    items[(at + step + items.length) % items.length].focus();
  });
}

/** @param {Tile} tile @param {HTMLElement} opener */
function openMenu(tile, opener) {
  const menu = element("tile-menu", HTMLElement);
  menu.setAttribute("aria-label", t("tileMenu", { name: tile.label }));
  menu.replaceChildren(...items(tile).map(({ text, act, className = "" }) => {
    const item = makeButton(className, text);
    item.addEventListener("click", () => {
      menu.hidePopover();
      opener.focus();
      act();
    });
    return item;
  }));
  opened = opener;
  opener.setAttribute("aria-expanded", "true");
  menu.showPopover();
  placeMenu();
  menu.querySelector("button")?.focus();
}

/** Beneath what opened it, and inside the window. */
function placeMenu() {
  const menu = element("tile-menu", HTMLElement);
  if (!opened || !menu.matches(":popover-open")) return;
  const at = opened.getBoundingClientRect();
  const left = Math.max(8, Math.min(at.right - menu.offsetWidth, innerWidth - menu.offsetWidth - 8));
  const top = Math.max(8, Math.min(at.bottom + 4, innerHeight - menu.offsetHeight - 8));
  Object.assign(menu.style, { left: `${left}px`, top: `${top}px` });
}

/** @param {Tile} tile @returns {Item[]} */
function items(tile) {
  const { video } = tile;
  const key = keyOf(tile.id, tile.screen);
  const list = [];
  if (!tile.self) {
    list.push({ text: t(video.muted ? "unmuteThem" : "muteThem", { name: tile.label }), act: () => mute(tile, !video.muted) });
  }
  list.push({ text: t(pinned === key ? "unpin" : "pin"), act: () => pin(key) });
  if (!video.hidden && document.pictureInPictureEnabled) list.push({ text: t("pictureInPicture"), act: () => pictureInPicture(video) });
  list.push({ text: t("fullScreen"), act: () => fullScreen(tile) });
  return [...list, ...moreItems(tile)];
}

/** @param {string} key */
function pin(key) {
  pinned = pinned === key ? "" : key;
  layOut();
}

/** @param {HTMLVideoElement} video */
function pictureInPicture(video) {
  const done = document.pictureInPictureElement === video ? document.exitPictureInPicture() : video.requestPictureInPicture();
  done.catch(() => notice(() => t("notPossible")));
}

/** @param {Tile} tile */
function fullScreen(tile) {
  /** iPhones give the whole screen to a video only. @type {HTMLVideoElement & {webkitEnterFullscreen?: () => void}} */
  const video = tile.video;
  if (!tile.element.requestFullscreen) return video.webkitEnterFullscreen?.();
  tile.element.requestFullscreen().catch(() => notice(() => t("notPossible")));
}
