/** The page: the lobby, the call, and what the buttons do. The calls themselves are lanturn.js's. */

import { choose, errorText, t } from "./i18n.js";
import { join } from "./lanturn.js";
import { manage, showStanding } from "./manage.js";
import { Media } from "./media.js";
import { announce, connectionFigures, connectionWords, element, nameOf, notice, Tile, translate } from "./view.js";

/** @import { Room, JoinOptions } from "./lanturn.js" */
/** @import { Peer } from "./lanturn.js" */
/** @import { Key } from "./i18n.js" */
/** @import { Kind } from "./media.js" */

const STATS_EVERY_MS = 1_000;

const button = (/** @type {string} */ id) => element(id, HTMLButtonElement);
const input = (/** @type {string} */ id) => element(id, HTMLInputElement);

const media = new Media();
/** What Join turns on. @type {Record<Kind, boolean>} */
const wanted = { audio: true, video: true };
/** @type {Map<string, Tile>} */
const tiles = new Map();
/** @type {Tile | null} */
let own = null;
/** @type {Room | null} */
let room = null;
/** @type {AbortController | null} the way into a room */
let entering = null;

/** For support, and for tests: the room that the page is in, in the browser's console. @type {{room: Room | null}} */
const support = { room: null };
Object.assign(globalThis, { lanturn: support });

/** Kept words, such as the name; a browser may forbid keeping any. */
const kept = {
  /** @param {string} key */
  get(key) {
    try {
      return localStorage.getItem(`lanturn.${key}`) ?? "";
    } catch {
      return "";
    }
  },
  /** @param {string} key @param {string} value */
  set(key, value) {
    try {
      localStorage.setItem(`lanturn.${key}`, value);
    } catch {
      // Then it is typed again next time.
    }
  },
};

/** The room that the address names. @returns {string} */
function addressedRoom() {
  const [, encoded] = location.pathname.match(/^\/r\/([^/]+)\/?$/) ?? [];
  try {
    return decodeURIComponent(encoded ?? "");
  } catch {
    return "";
  }
}

/** What the address says; the fragment, which no server is sent, carries an invite. */
function addressed() {
  return new URLSearchParams(`${location.search.slice(1)}&${location.hash.replace(/^#\??/, "")}`);
}

/** Whether the address is that of somebody who is invited to watch. */
const isViewer = () => addressed().get("role") === "viewer";

/** An invite, and what the address asks for on behalf of support: see the page's help. @returns {JoinOptions} */
function addressedOptions() {
  const said = addressed();
  /** @type {JoinOptions} */
  const options = {};
  options.invite = said.get("invite") ?? undefined;
  if (said.get("policy") === "relay") options.iceTransportPolicy = "relay";
  const transport = said.get("transport");
  if (transport === "udp" || transport === "tcp" || transport === "tls") options.relayTransport = transport;
  return options;
}

/** @param {boolean} withMedia */
async function enter(withMedia) {
  entering?.abort();
  const attempt = (entering = new AbortController());
  notice("");
  kept.set("name", input("name").value.trim());
  // The camera may take its time, or a person to allow it: the room does not wait.
  if (withMedia) void media.start(...kinds().filter((kind) => wanted[kind]));
  else media.stop(...kinds());
  showLobbyButtons();
  try {
    const name = input("name").value.trim();
    const pin = input("pin").value.trim() || undefined;
    const options = { name, pin, stream: media.stream, signal: attempt.signal, ...addressedOptions() };
    adopt(await join(undefined, input("room").value, options));
  } catch (error) {
    if (attempt.signal.aborted) return;
    media.stop(...kinds());
    refused({ id: error.id ?? "", text: error.message });
  } finally {
    if (entering === attempt) entering = null;
    showLobbyButtons();
  }
}

/** Says why the room was not entered, or not again, and asks for what was missing. @param {{id: string, text: string}} error */
function refused(error) {
  notice(errorText(error));
  if (error.id === "bad-invite") history.replaceState(null, "", location.pathname + location.search);
  showInvitation();
  if (error.id !== "bad-pin") return;
  element("pin-field", HTMLElement).hidden = false;
  input("pin").select();
}

/** @returns {Kind[]} */
const kinds = () => ["audio", "video"];

/** @param {Room} entered */
function adopt(entered) {
  room = support.room = entered;
  void entered.setStream(media.stream);
  /** @type {<T>(type: string, handle: (detail: any) => T) => void} */
  const on = (type, handle) => {
    const listener = (/** @type {any} */ event) => room === entered && handle(event.detail);
    entered.addEventListener(type, listener);
  };
  on("joined", () => {
    notice("");
    showRoom(entered);
  });
  on("peer", ({ peer }) => {
    addTile(peer);
    announce(t("came", { name: nameOf(peer) }));
  });
  on("peer-left", ({ peer, reason }) => {
    removeTile(peer.id);
    /** @type {Record<string, Key>} */
    const words = { left: "left", disconnected: "lostThem", kicked: "kickedThem" };
    if (reason in words) announce(t(words[reason], { name: nameOf(peer) }));
  });
  on("presence", ({ peer }) => describe(peer));
  on("renamed", ({ peer }) => {
    tiles.get(peer.id)?.rename(nameOf(peer));
    showPeople();
  });
  on("stream", ({ peer }) => {
    tiles.get(peer.id)?.play(peer.stream);
    void describe(peer);
  });
  on("state", ({ peer }) => describe(peer));
  on("error", (error) => !error.fatal && notice(errorText(error, error.peer && nameOf(error.peer))));
  on("away", () => notice(t("retrying")));
  on("back", () => notice(""));
  on("closed", ({ reason }) => {
    showLobby(t("youLeft"));
    if (reason !== "left") refused({ id: reason, text: reason });
  });
  on("room", () => showRoles(entered));
  const path = `/r/${encodeURIComponent(entered.name)}`;
  if (location.pathname !== path) history.pushState(null, "", path + location.search + location.hash);
  showRoom(entered);
}

/** @param {Room} entered */
function showRoom(entered) {
  document.body.dataset.view = "call";
  document.title = `${entered.name} – lanturn`;
  element("lobby", HTMLElement).hidden = true;
  element("call", HTMLElement).hidden = false;
  element("room-line", HTMLElement).hidden = false;
  button("copy").hidden = false;
  element("room-title", HTMLElement).textContent = entered.name;
  input("link").value = location.origin + location.pathname;
  element("grid", HTMLElement).replaceChildren();
  tiles.clear();
  own = new Tile(entered.self.id, true);
  element("grid", HTMLElement).append(own.element);
  for (const peer of entered.peers.values()) addTile(peer);
  showPeople();
  showMedia();
  showRoles(entered);
  announce(t("entered", { room: entered.name }));
}

/** Who may do what. @param {Room} entered */
function showRoles(entered) {
  showStanding(entered);
  const isHost = entered.host === entered.self.id;
  for (const [id, tile] of tiles) tile.offerKick(isHost ? () => entered.kick(id) : null);
  for (const id of ["mic", "camera"]) button(id).hidden = entered.self.role === "viewer";
}

/** What the lobby leaves out for somebody who is invited to watch. */
function showInvitation() {
  element("lobby", HTMLElement).classList.toggle("viewer", isViewer());
  if (isViewer()) media.stop(...kinds());
  showLobbyButtons();
}

/** @param {string} text why we are here */
function showLobby(text) {
  if (room) input("room").value = room.name;
  room = support.room = own = null;
  showStanding(null);
  tiles.clear();
  media.stop(...kinds());
  document.body.dataset.view = "lobby";
  document.title = "lanturn";
  element("grid", HTMLElement).replaceChildren();
  for (const id of ["call", "room-line", "copy"]) element(id, HTMLElement).hidden = true;
  element("lobby", HTMLElement).hidden = false;
  notice(text);
  button("join").focus();
}

/** @param {Peer} peer */
function addTile(peer) {
  const tile = new Tile(peer.id, false);
  tile.rename(nameOf(peer));
  tile.play(peer.stream);
  tiles.set(peer.id, tile);
  element("grid", HTMLElement).append(tile.element);
  describe(peer);
  showPeople();
  if (room) showRoles(room);
}

/** @param {string} id */
function removeTile(id) {
  tiles.get(id)?.element.remove();
  tiles.delete(id);
  showPeople();
}

/** @param {Peer} peer */
async function describe(peer) {
  const stats = (await room?.stats(peer.id).catch(() => null)) ?? null;
  tiles.get(peer.id)?.describe(connectionWords(peer, stats), connectionFigures(stats));
}

function showPeople() {
  if (!room) return;
  const hidden = button("hide-self").getAttribute("aria-pressed") === "true";
  const names = [room.self.name || t("you"), ...[...room.peers.values()].map(nameOf)].join(", ");
  const facts = { count: room.peers.size + 1, capacity: room.capacity, names };
  element("people", HTMLElement).textContent = t("people", facts);
  element("alone", HTMLElement).hidden = room.peers.size > 0;
  // Alone we stay visible: an empty grid looks broken.
  if (own) own.element.hidden = hidden && room.peers.size > 0;
  const shown = tiles.size + (own?.element.hidden ? 0 : 1);
  element("grid", HTMLElement).dataset.count = String(Math.min(shown, 9));
}

function showMedia() {
  const [audio, video] = kinds().map((kind) => media.track(kind) !== undefined);
  for (const id of ["mic", "preview-mic"]) button(id).setAttribute("aria-pressed", String(audio));
  for (const id of ["camera", "preview-camera"]) button(id).setAttribute("aria-pressed", String(video));
  const preview = element("preview", HTMLVideoElement);
  preview.srcObject = video && !room ? media.stream : null;
  preview.hidden = !video;
  element("preview-off", HTMLElement).hidden = video;
  own?.rename(room?.self.name || t("you"));
  own?.play(media.stream);
  own?.describe(audio || video ? (video ? "" : t("noVideo")) : t("watching"));
  showLobbyButtons();
}

function showLobbyButtons() {
  const label = isViewer() ? "join" : wanted.video ? "joinCamera" : wanted.audio ? "joinMic" : "join";
  button("join").textContent = t(entering ? "joining" : label);
  for (const id of ["join", "watch"]) button(id).disabled = entering !== null;
  button("watch").hidden = isViewer();
  element("invited", HTMLElement).hidden = !isViewer();
}

/** @param {Kind} kind */
function toggle(kind) {
  wanted[kind] = media.track(kind) === undefined;
  if (!wanted[kind]) return media.stop(kind);
  notice("");
  void media.start(kind);
}

async function copyLink() {
  const link = input("link");
  try {
    await navigator.clipboard.writeText(link.value);
    announce(t("copied"));
    button("copy").textContent = t("copied");
    setTimeout(() => (button("copy").textContent = t("copyLink")), 2_000);
  } catch {
    element("alone", HTMLElement).hidden = false;
    link.select();
    notice(t("copyFailed"));
  }
}

/** @param {string} language */
function speak(language) {
  document.documentElement.lang = language;
  element("language", HTMLSelectElement).value = language;
  translate();
  showMedia();
  showPeople();
  if (room) showStanding(room);
  for (const peer of room?.peers.values() ?? []) {
    tiles.get(peer.id)?.rename(nameOf(peer));
    void describe(peer);
  }
}

function start() {
  element("join-form", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    void enter(event.submitter?.id !== "watch" && !isViewer());
  });
  manage(() => room);
  for (const id of ["mic", "preview-mic"]) button(id).addEventListener("click", () => toggle("audio"));
  for (const id of ["camera", "preview-camera"]) button(id).addEventListener("click", () => toggle("video"));
  button("hide-self").addEventListener("click", () => {
    const pressed = button("hide-self").getAttribute("aria-pressed") !== "true";
    button("hide-self").setAttribute("aria-pressed", String(pressed));
    showPeople();
  });
  button("leave").addEventListener("click", () => room?.leave());
  button("copy").addEventListener("click", () => void copyLink());
  element("language", HTMLSelectElement).addEventListener("change", (event) => {
    const { value } = /** @type {HTMLSelectElement} */ (event.target);
    kept.set("language", value);
    speak(choose([value]));
  });
  media.addEventListener("change", () => {
    showMedia();
    void room?.setStream(media.stream);
  });
  media.addEventListener("refused", (event) => {
    const why = /** @type {CustomEvent<import("./media.js").Refusal>} */ (event).detail;
    notice(t(`media_${why}`));
  });
  addEventListener("popstate", () => {
    entering?.abort();
    room?.leave();
    input("room").value = addressedRoom();
    showInvitation();
  });
  const describeAll = () => {
    if (document.hidden) return;
    for (const peer of room?.peers.values() ?? []) void describe(peer);
  };
  setInterval(describeAll, STATS_EVERY_MS);
  document.addEventListener("visibilitychange", describeAll);
  input("room").value = addressedRoom();
  input("name").value = kept.get("name");
  showInvitation();
  speak(choose([kept.get("language"), ...navigator.languages]));
  if (!isSecureContext) notice(t("media_insecure"));
  (input("room").value ? button("join") : input("room")).focus();
}

start();
