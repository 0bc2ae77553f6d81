/** What the page shows: one tile for each person, and the words of the chosen language. */

import { t } from "./i18n.js";

/** @import { Key } from "./i18n.js" */
/** @import { Peer } from "./lanturn.js" */
/** @import { Stats } from "./stats.js" */

/** @template {HTMLElement} T @param {string} id @param {new () => T} type @returns {T} */
export function element(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return found;
}

/** @param {string} tag @param {string} className @param {Node[]} children @returns {HTMLElement} */
function make(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

/** Fills in every text of the page that does not change by itself. */
export function translate() {
  for (const each of document.querySelectorAll("[data-text]")) {
    each.textContent = t(/** @type {Key} */ (each.getAttribute("data-text")));
  }
  for (const each of document.querySelectorAll("[data-label]")) {
    each.setAttribute("aria-label", t(/** @type {Key} */ (each.getAttribute("data-label"))));
  }
}

/** Says something to those who listen to the page instead of looking at it. @param {string} text */
export function announce(text) {
  element("live", HTMLElement).textContent = text;
}

/** @param {string} text none hides it */
export function notice(text) {
  const shown = element("notice", HTMLElement);
  shown.textContent = text;
  shown.hidden = text === "";
}

/** What to call somebody. @param {{id: string, name?: string}} person */
export function nameOf(person) {
  return person.name || t("guest", { tag: person.id.slice(0, 4) });
}

/** Somebody in the grid. */
export class Tile {
  #video = document.createElement("video");
  #letter = make("span", "letter");
  #name = make("span", "name");
  #state = make("span", "state");
  #detail = make("span", "detail");
  #mute = document.createElement("button");
  #kick = document.createElement("button");
  #label = "";

  /** @param {string} id @param {boolean} self whether it shows ourselves */
  constructor(id, self) {
    this.#video.autoplay = true;
    this.#video.playsInline = true;
    this.#video.muted = self;
    this.#video.hidden = true;
    this.#letter.setAttribute("aria-hidden", "true");
    const caption = make("figcaption", "caption", this.#name, this.#state, this.#detail);
    this.element = make("figure", self ? "tile self" : "tile", this.#letter, this.#video, caption);
    this.element.dataset.peer = id;
    if (self) this.#video.classList.add("mirror");
    else this.element.append(this.#muteButton());
  }

  /** @param {string} name */
  rename(name) {
    this.#label = name;
    this.#name.textContent = name;
    this.#letter.textContent = [...name][0] ?? "";
    this.#video.setAttribute("aria-label", name);
    this.#mute.setAttribute("aria-label", t("muteThem", { name }));
    this.#kick.textContent = t("kick");
    this.#kick.setAttribute("aria-label", t("kickThem", { name }));
  }

  /** @param {MediaStream} stream */
  play(stream) {
    const tracks = stream.getTracks();
    // Given again at every change: a browser that shows a still picture otherwise keeps it.
    this.#video.srcObject = tracks.length > 0 ? stream : null;
    this.#video.hidden = stream.getVideoTracks().length === 0;
    this.#mute.hidden = stream.getAudioTracks().length === 0;
    if (tracks.length > 0) this.#video.play().catch(() => {});
  }

  /** @param {string} words how the connection is @param {string} [detail] what a small tile leaves out */
  describe(words, detail = "") {
    if (this.#state.textContent !== words) this.#state.textContent = words;
    if (this.#detail.textContent !== detail) this.#detail.textContent = detail;
  }

  /** Lets the host send them away. @param {(() => void) | null} kick */
  offerKick(kick) {
    this.#kick.type = "button";
    this.#kick.className = "kick";
    this.#kick.onclick = kick;
    if (kick) this.element.append(this.#kick);
    else this.#kick.remove();
  }

  #muteButton() {
    this.#mute.type = "button";
    this.#mute.className = "mute";
    this.#mute.hidden = true;
    this.#mute.setAttribute("aria-pressed", "false");
    this.#mute.append(speaker());
    this.#mute.addEventListener("click", () => {
      this.#video.muted = !this.#video.muted;
      this.#mute.setAttribute("aria-pressed", String(this.#video.muted));
    });
    return this.#mute;
  }
}

function speaker() {
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg");
  drawing.setAttribute("viewBox", "0 0 24 24");
  drawing.setAttribute("aria-hidden", "true");
  const cone = "M4 9h4l5-4v14l-5-4H4z";
  const waves = "M16 9a4 4 0 0 1 0 6M18.500 6.500a8 8 0 0 1 0 11";
  for (const [name, path] of [["cone", cone], ["waves", waves], ["slash", "M4 4l16 16"]]) {
    const line = document.createElementNS(space, "path");
    line.setAttribute("class", name);
    line.setAttribute("d", path);
    drawing.append(line);
  }
  return drawing;
}

/** How the connection to somebody is, in words. @param {Peer} peer @param {Stats | null} stats @returns {string} */
export function connectionWords(peer, stats) {
  if (peer.away && peer.state !== "connected") return t("away");
  if (peer.state === "idle") return t("watching");
  if (peer.state === "connecting") return t("connecting");
  if (peer.state === "reconnecting") return t("reconnecting");
  if (peer.state === "failed") return t("lost");
  const words = stats?.selectedPair ? [t(pathKey(stats.selectedPair))] : [];
  if (peer.stream.getTracks().length === 0) words.push(t("watching"));
  else if (peer.stream.getVideoTracks().length === 0) words.push(t("noVideo"));
  if (peer.away) words.push(t("away"));
  return words.join(" · ");
}

/** The figures of a connection: the round trip, the size of the picture. @param {Stats | null} stats @returns {string} */
export function connectionFigures(stats) {
  const figures = [];
  const trip = stats?.selectedPair?.roundTripTime;
  if (trip) figures.push(`${Math.max(1, Math.round(trip * 1000))} ms`);
  if (stats?.frameWidth) figures.push(`${stats.frameWidth}×${stats.frameHeight}`);
  return figures.join(" · ");
}

/** @param {NonNullable<Stats["selectedPair"]>} pair @returns {Key} */
function pathKey(pair) {
  if (pair.localType !== "relay") return pair.remoteType === "relay" ? "relay" : "direct";
  if (!pair.relayProtocol) return "relay";
  return /** @type {const} */ ({ udp: "relayUdp", tcp: "relayTcp", tls: "relayTls" })[pair.relayProtocol];
}
