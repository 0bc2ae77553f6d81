/** The room that the page is in: its events, and what they show. The calls themselves are lanturn.js's. */

import { pathOf } from "./address.js";
import { forgetChat, hear, offered } from "./chat.js";
import { announce, button, calm, element, input, notice } from "./dom.js";
import { errorText, t } from "./i18n.js";
import { showStanding } from "./invite.js";
import { keep, recall } from "./kept.js";
import { connectionFigures, connectionWords } from "./path.js";
import { nameOf, sendAway, showPersons } from "./people.js";
import { showCompared } from "./quality.js";
import { media, state } from "./state.js";
import { forgetAllStats, forgetStats, noteStats } from "./stats-panel.js";
import { addTile, hideSelf, removeTile, removeTiles, startTiles, tileOf } from "./tiles.js";

/** @import { Peer, Room } from "../lanturn.js" */
/** @import { Key } from "./i18n.js" */

/** How each call is, in words, by its peer's id. @type {Map<string, string>} */
const standing = new Map();

/** Whose call does not stand, as far as that was said. @type {Set<string>} */
const troubled = new Set();
/** How the room stood when that was last said. */
let stood = { host: "", locked: false, hasPin: false };

/** @param {Room} entered @param {(reason: string) => void} closed told when we are out of the room for good */
export function follow(entered, closed) {
  /** @type {<T>(type: string, handle: (detail: any) => T) => void} */
  const on = (type, handle) => {
    const listener = (/** @type {any} */ event) => state.room === entered && handle(event.detail);
    entered.addEventListener(type, listener);
  };
  on("joined", () => {
    calm();
    forgetAllStats();
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
  on("muted", ({ peer }) => describe(peer));
  on("stats", ({ peer }) => {
    noteStats(peer);
    showCompared();
    describe(peer);
  });
  on("screen", ({ peer }) => {
    const had = tileOf(peer.id, true) !== undefined;
    showScreen(peer);
    const has = tileOf(peer.id, true) !== undefined;
    if (had !== has) announce(t(has ? "screenBegun" : "screenEnded", { name: nameOf(peer) }));
  });
  on("chat", hear);
  on("file", offered);
  on("crowded", ({ crowded, peers, most }) => crowded && notice(() => t("crowded", { peers, most })));
  on("renamed", ({ peer }) => {
    tileOf(peer.id)?.rename(nameOf(peer));
    showScreen(peer);
    showPeople();
  });
  on("stream", ({ peer }) => describe(peer, true));
  on("state", ({ peer }) => {
    describe(peer);
    announceState(peer);
  });
  on("error", (error) => {
    if (error.fatal) return;
    notice(() => errorText(error, error.peer && nameOf(error.peer)));
    // What was asked for may not have come to be.
    showStanding(entered);
  });
  on("away", () => {
    // Each attempt that fails says it anew.
    if (element("calm", HTMLElement).hidden) announce(t("retrying"));
    calm(() => t("retrying"));
  });
  on("back", () => {
    calm();
    announce(t("boxBack"));
  });
  on("closed", ({ reason }) => closed(reason));
  on("room", () => {
    showRoles(entered);
    announceStanding(entered);
  });
}

/** How a call goes that stood. @param {Peer} peer */
function announceState({ id, name, state }) {
  const facts = { name: nameOf({ id, name }) };
  if (state === "reconnecting" || state === "failed") {
    troubled.add(id);
    announce(t(state === "failed" ? "callLost" : "callShaky", facts));
  } else if (state === "connected" && troubled.delete(id)) announce(t("callBack", facts));
}

/** What has changed about the room. @param {Room} room */
function announceStanding(room) {
  const { host, locked, hasPin } = room;
  const peer = room.peers.get(host);
  if (host !== stood.host && host === room.self.id) announce(t("hostNow"));
  else if (host !== stood.host && peer) announce(t("hostNowThey", { name: nameOf(peer) }));
  if (locked !== stood.locked) announce(t(locked ? "lockedNow" : "unlockedNow"));
  if (hasPin !== stood.hasPin) announce(t(hasPin ? "pinNow" : "pinGone"));
  stood = { host, locked, hasPin };
}

/** @param {Room} entered */
export function showCall(entered) {
  document.title = `${entered.name} – lanturn`;
  element("room-title", HTMLElement).textContent = entered.name;
  input("link").value = location.origin + pathOf(entered.name);
  removeTiles();
  standing.clear();
  troubled.clear();
  stood = { host: entered.host, locked: entered.locked, hasPin: entered.hasPin };
  addTile(entered.self.id, { self: true });
  for (const peer of entered.peers.values()) meet(peer);
  showPeople();
  showOwn();
  showRoles(entered);
  announce(t("entered", { room: entered.name }));
}

export function forgetCalls() {
  calm();
  media.unshare();
  removeTiles();
  forgetChat();
  forgetAllStats();
  standing.clear();
}

/** Who may do what. @param {Room} entered */
function showRoles(entered) {
  showStanding(entered);
  showPeople();
  const isViewer = entered.self.role === "viewer";
  for (const id of ["mic", "camera"]) button(id).hidden = isViewer;
  button("screen").hidden = isViewer || !navigator.mediaDevices?.getDisplayMedia;
}

/** @param {Peer} peer */
function meet(peer) {
  const tile = addTile(peer.id, {});
  tile.rename(nameOf(peer));
  describe(peer, true);
  showScreen(peer);
  showPeople();
}

/** The screen that they share, or do not any more. @param {Peer} peer */
function showScreen(peer) {
  const there = peer.screen.getTracks().length > 0;
  if (!there) return removeTile(peer.id, true);
  const tile = tileOf(peer.id, true) ?? addTile(peer.id, { screen: true });
  tile.rename(t("screenOf", { name: nameOf(peer) }));
  tile.play(peer.screen);
}

/** @param {Peer} peer */
function part(peer) {
  standing.delete(peer.id);
  troubled.delete(peer.id);
  removeTile(peer.id);
  removeTile(peer.id, true);
  forgetStats(peer.id);
  showPeople();
}

/** How the call with them is. @param {Peer} peer @param {boolean} [anew] whether what they send has changed */
function describe(peer, anew = false) {
  const tile = tileOf(peer.id);
  if (!tile) return;
  const words = connectionWords(peer, peer.stats);
  tile.describe(words, connectionFigures(peer.stats));
  const audio = peer.stream.getAudioTracks().length > 0;
  tile.showSilence(peer.stream.getTracks().length > 0 && (!audio || peer.muted.audio));
  if (anew) tile.play(peer.stream);
  tile.hide(peer.muted.video);
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
  const heard = audio !== undefined && !media.muted("audio");
  button("mic").setAttribute("aria-pressed", String(heard));
  button("camera").setAttribute("aria-pressed", String(video !== undefined));
  const shared = media.screen.getTracks().length > 0;
  button("screen").setAttribute("aria-pressed", String(shared));
  button("screen").classList.toggle("sharing", shared);
  const { room } = state;
  const own = room && tileOf(room.self.id);
  if (!own) return;
  own.rename(room.self.name || t("you"));
  own.play(media.stream);
  own.describe(ownWords());
  own.showSilence((audio || video) !== undefined && !heard);
  showOwnScreen(room.self.id, shared);
  showPeople();
}

/** @param {string} id @param {boolean} shared */
function showOwnScreen(id, shared) {
  const had = tileOf(id, true);
  if (Boolean(had) !== shared) announce(t(shared ? "screenOwnBegun" : "screenOwnEnded"));
  if (!shared) return removeTile(id, true);
  const tile = had ?? addTile(id, { self: true, screen: true });
  tile.rename(t("screenOwn"));
  tile.play(media.screen);
}

function toggleScreen() {
  if (media.screen.getTracks().length > 0) return media.unshare();
  notice();
  void media.share({ audio: true });
}

/** In another language. */
export function speakCall() {
  const { room } = state;
  if (!room) return;
  showOwn();
  showRoles(room);
  for (const peer of room.peers.values()) {
    tileOf(peer.id)?.rename(nameOf(peer));
    describe(peer);
    showScreen(peer);
  }
}

export function startCall() {
  startTiles((tile) => {
    const { room } = state;
    if (!room) return [];
    if (tile.self) return tile.screen ? [] : [{ text: t("hideSelf"), act: () => chooseHidden(true) }];
    if (room.host !== room.self.id) return [];
    return [{ text: t("kickThem", { name: tile.label }), className: "danger", act: () => void sendAway(room, tile.id) }];
  });
  input("hide-self").addEventListener("change", () => chooseHidden(input("hide-self").checked));
  chooseHidden(recall("hide-self") === "yes");
  button("screen").addEventListener("click", toggleScreen);
}

/** @param {boolean} hidden */
function chooseHidden(hidden) {
  keep("hide-self", hidden ? "yes" : "");
  input("hide-self").checked = hidden;
  hideSelf(hidden);
}
