/** The room that the page is in: its events, and what they show. The calls themselves are lanturn.js's. */

import { announce, button, calm, element, input, notice } from "./dom.js";
import { errorText, t } from "./i18n.js";
import { showStanding } from "./invite.js";
import { connectionFigures, connectionWords } from "./path.js";
import { nameOf, sendAway, showPersons } from "./people.js";
import { media, state } from "./state.js";
import { addTile, hideSelf, removeTile, removeTiles, startTiles, tileOf } from "./tiles.js";
import { keep, recall } from "./kept.js";
import { pathOf } from "./address.js";

/** @import { Room } from "../lanturn.js" */
/** @import { Peer } from "../lanturn.js" */
/** @import { Key } from "./i18n.js" */

const STATS_EVERY_MS = 1_000;
/** How each call is, in words, by its peer's id. @type {Map<string, string>} */
const standing = new Map();

/** @param {Room} entered @param {(reason: string) => void} closed told when we are out of the room for good */
export function follow(entered, closed) {
  /** @type {<T>(type: string, handle: (detail: any) => T) => void} */
  const on = (type, handle) => {
    const listener = (/** @type {any} */ event) => state.room === entered && handle(event.detail);
    entered.addEventListener(type, listener);
  };
  on("joined", () => {
    calm("");
    showCall(entered);
  });
  on("peer", ({ peer }) => {
    meet(peer);
    announce(t("came", { name: nameOf(peer) }));
  });
  on("peer-left", ({ peer, reason }) => {
    part(peer);
    /** @type {Record<string, Key>} */
    const words = { left: "left", disconnected: "lostThem", kicked: "kickedThem" };
    if (reason in words) announce(t(words[reason], { name: nameOf(peer) }));
  });
  on("presence", ({ peer }) => describe(peer));
  on("renamed", ({ peer }) => {
    tileOf(peer.id)?.rename(nameOf(peer));
    showPeople();
  });
  on("stream", ({ peer }) => {
    tileOf(peer.id)?.play(peer.stream);
    void describe(peer);
  });
  on("state", ({ peer }) => describe(peer));
  on("error", (error) => !error.fatal && notice(errorText(error, error.peer && nameOf(error.peer))));
  on("away", () => calm(t("retrying")));
  on("back", () => calm(""));
  on("closed", ({ reason }) => closed(reason));
  on("room", () => showRoles(entered));
}

/** @param {Room} entered */
export function showCall(entered) {
  document.title = `${entered.name} – lanturn`;
  element("room-title", HTMLElement).textContent = entered.name;
  input("link").value = location.origin + pathOf(entered.name);
  removeTiles();
  standing.clear();
  addTile(entered.self.id, { self: true });
  for (const peer of entered.peers.values()) meet(peer);
  showPeople();
  showOwn();
  showRoles(entered);
  announce(t("entered", { room: entered.name }));
}

export function leaveCall() {
  calm("");
  removeTiles();
  standing.clear();
}

/** Who may do what. @param {Room} entered */
function showRoles(entered) {
  showStanding(entered);
  showPeople();
  for (const id of ["mic", "camera"]) button(id).hidden = entered.self.role === "viewer";
}

/** @param {Peer} peer */
function meet(peer) {
  const tile = addTile(peer.id, {});
  tile.rename(nameOf(peer));
  tile.play(peer.stream);
  void describe(peer);
  showPeople();
}

/** @param {Peer} peer */
function part(peer) {
  standing.delete(peer.id);
  removeTile(peer.id);
  showPeople();
}

/** @param {Peer} peer */
async function describe(peer) {
  const stats = (await state.room?.stats(peer.id).catch(() => null)) ?? null;
  const tile = tileOf(peer.id);
  if (!tile) return;
  const words = connectionWords(peer, stats);
  tile.describe(words, connectionFigures(stats));
  tile.showTrouble(peer.state === "reconnecting" || peer.state === "failed");
  if (standing.get(peer.id) === words) return;
  standing.set(peer.id, words);
  showPeople();
}

export function showPeople() {
  const { room } = state;
  if (!room) return;
  showPersons(room, (id) => (id === room.self.id ? ownWords() : (standing.get(id) ?? "")));
  element("alone", HTMLElement).hidden = room.peers.size > 0;
}

function ownWords() {
  const [audio, video] = [media.track("audio"), media.track("video")];
  return audio || video ? (video ? "" : t("noVideo")) : t("watching");
}

/** What we send, where we see it ourselves. */
export function showOwn() {
  const [audio, video] = [media.track("audio"), media.track("video")];
  button("mic").setAttribute("aria-pressed", String(audio !== undefined));
  button("camera").setAttribute("aria-pressed", String(video !== undefined));
  const { room } = state;
  const own = room && tileOf(room.self.id);
  if (!own) return;
  own.rename(room.self.name || t("you"));
  own.play(media.stream);
  own.describe(ownWords());
  showPeople();
}

/** In another language. */
export function speakCall() {
  const { room } = state;
  if (!room) return;
  showOwn();
  showRoles(room);
  for (const peer of room.peers.values()) {
    tileOf(peer.id)?.rename(nameOf(peer));
    void describe(peer);
  }
}

export function startCall() {
  startTiles((tile) => {
    const { room } = state;
    if (!room) return [];
    if (tile.self) return tile.screen ? [] : [{ text: t("hideSelf"), act: () => chooseHidden(true) }];
    if (room.host !== room.self.id) return [];
    return [{ text: t("kickThem", { name: tile.label }), className: "danger-text", act: () => void sendAway(room, tile.id) }];
  });
  input("hide-self").addEventListener("change", () => chooseHidden(input("hide-self").checked));
  chooseHidden(recall("hide-self") === "yes");
  const describeAll = () => {
    if (document.hidden) return;
    for (const peer of state.room?.peers.values() ?? []) void describe(peer);
  };
  setInterval(describeAll, STATS_EVERY_MS);
  document.addEventListener("visibilitychange", describeAll);
}

/** @param {boolean} hidden */
function chooseHidden(hidden) {
  keep("hide-self", hidden ? "yes" : "");
  input("hide-self").checked = hidden;
  hideSelf(hidden);
}
