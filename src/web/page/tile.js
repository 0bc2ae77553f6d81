/** Somebody in the grid: the picture, the name, and how the connection is. */

import { icon, make, makeButton, paintLetter } from "./dom.js";
import { t } from "./i18n.js";

export class Tile {
  #letter = make("span", "letter");
  #name = make("span", "name");
  #state = make("span", "state");
  #detail = make("span", "detail");
  #silent = make("span", "silent", icon("mic", true));
  #pictured = false;
  #hushed;
  #more = makeButton("tile-more", icon("more"));

  /**
   * @param {string} id of whom it shows @param {{self?: boolean, screen?: boolean}} kind of tile
   * @param {{openMenu: (tile: Tile, opener: HTMLElement) => void, hushed: (tile: Tile) => void}} handlers
   */
  constructor(id, { self = false, screen = false }, { openMenu, hushed }) {
    this.id = id;
    this.#hushed = hushed;
    this.self = self;
    this.screen = screen;
    this.label = "";
    this.video = document.createElement("video");
    this.video.autoplay = true;
    this.video.playsInline = true;
    this.video.muted = self;
    this.video.hidden = true;
    this.#silent.hidden = true;
    this.#letter.setAttribute("aria-hidden", "true");
    const caption = make("figcaption", "caption", this.#silent, this.#name, this.#state, this.#detail);
    this.#more.setAttribute("aria-haspopup", "true");
    this.#more.setAttribute("aria-expanded", "false");
    this.#more.addEventListener("click", () => openMenu(this, this.#more));
    this.element = make("figure", "tile", this.#letter, this.video, caption, this.#more);
    this.element.classList.toggle("self", self);
    this.element.classList.toggle("screen", screen);
    this.element.dataset.peer = id;
    if (self && !screen) this.video.classList.add("mirror");
  }

  /** @param {string} name */
  rename(name) {
    this.label = name;
    this.#name.textContent = name;
    paintLetter(this.#letter, this.id, name);
    this.video.setAttribute("aria-label", name);
    this.#more.setAttribute("aria-label", t("tileMenu", { name }));
    this.#more.title = t("tileMenu", { name });
    this.#silent.setAttribute("role", "img");
    this.#silent.setAttribute("aria-label", t("micOff"));
  }

  /** @param {MediaStream} stream */
  play(stream) {
    const tracks = stream.getTracks();
    // Given again at every change: a browser that shows a still picture otherwise keeps it.
    this.video.srcObject = tracks.length > 0 ? stream : null;
    this.#pictured = stream.getVideoTracks().length > 0;
    this.video.hidden = !this.#pictured;
    if (tracks.length > 0) void this.start();
  }

  /** Where the browser lets nothing be heard before the page is pressed, there is at least the picture. */
  async start() {
    try {
      await this.video.play();
    } catch (error) {
      // Anything else means that there is something newer to play.
      if (error.name !== "NotAllowedError" || this.video.muted) return;
      this.video.muted = true;
      this.#hushed(this);
      await this.start();
    }
  }

  /** @param {boolean} hidden whether the picture is black on purpose */
  hide(hidden) {
    this.video.hidden = hidden || !this.#pictured;
  }

  /** @param {string} words how the connection is @param {string} [detail] what a small tile leaves out */
  describe(words, detail = "") {
    if (this.#state.textContent !== words) this.#state.textContent = words;
    if (this.#detail.textContent !== detail) this.#detail.textContent = detail;
  }

  /** @param {boolean} silent whether the microphone is off */
  showSilence(silent) {
    this.#silent.hidden = !silent;
  }

  /** Whether the connection does not stand, so that the picture is an old one. @param {boolean} troubled */
  showTrouble(troubled) {
    this.element.classList.toggle("troubled", troubled);
  }

  /** @param {import("./grid.js").Rect} rect @param {boolean} floating */
  place({ left, top, width, height }, floating) {
    Object.assign(this.element.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
    this.element.classList.toggle("floating", floating);
  }
}
