/** Before a call: the room, the name, the camera as the others will see it. */

import { addressedRoom, isViewer } from "./address.js";
import { announce, button, element, input, notice } from "./dom.js";
import { language, t } from "./i18n.js";
import { keep, recall } from "./kept.js";
import { suggestName } from "./names.js";
import { media, state } from "./state.js";

/** @import { Kind } from "../lanturn.js" */

/** What Join turns on. @type {Record<Kind, boolean>} */
const wanted = { audio: true, video: true };

/** @returns {Kind[]} */
export const kinds = () => ["audio", "video"];
export const wantedKinds = () => kinds().filter((kind) => wanted[kind]);

/** Turns one on or off. @param {Kind} kind */
export function toggle(kind) {
  const on = media.track(kind) !== undefined;
  // In a call the microphone is kept, so that it is back at once; the light of a camera goes out.
  if (on && kind === "audio" && state.room) return media.mute(kind, !media.muted(kind));
  wanted[kind] = !on;
  if (on) return media.stop(kind);
  notice();
  media.mute(kind, false);
  void media.start(kind);
}

/** @returns {{room: string, name: string, pin: string | undefined}} what was typed */
export function typed() {
  const name = input("name").value.trim();
  keep("name", name);
  return { room: input("room").value, name, pin: input("pin").value.trim() || undefined };
}

/** What the lobby leaves out for somebody who is invited to watch. */
export function showInvitation() {
  element("lobby", HTMLElement).classList.toggle("viewer", isViewer());
  if (isViewer()) media.stop(...kinds());
}

/** @param {boolean} entering whether a room is on its way */
export function showLobbyButtons(entering) {
  const label = isViewer() ? "join" : wanted.video ? "joinCamera" : wanted.audio ? "joinMic" : "join";
  button("join").textContent = t(entering ? "joining" : label);
  for (const id of ["join", "watch"]) button(id).disabled = entering;
  button("watch").hidden = isViewer();
  element("lobby-title", HTMLElement).textContent = t(isViewer() ? "watchTitle" : "lobbyTitle");
  for (const id of ["lead", "suggest", "room-hint"]) element(id, HTMLElement).hidden = isViewer();
  element("invited", HTMLElement).hidden = !isViewer();
}

export function showPreview() {
  const video = media.track("video") !== undefined;
  button("preview-mic").setAttribute("aria-pressed", String(media.track("audio") !== undefined));
  button("preview-camera").setAttribute("aria-pressed", String(video));
  const preview = element("preview", HTMLVideoElement);
  preview.srcObject = video && !state.room ? media.stream : null;
  preview.hidden = !video;
  element("preview-off", HTMLElement).hidden = video;
}

/** The room has a PIN, and what was typed is not it. */
export function askPin() {
  element("pin-field", HTMLElement).hidden = false;
  input("pin").select();
}

/** @param {(withMedia: boolean) => void} enter */
export function startLobby(enter) {
  element("join-form", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    enter(event.submitter?.id !== "watch" && !isViewer());
  });
  button("preview-mic").addEventListener("click", () => toggle("audio"));
  button("preview-camera").addEventListener("click", () => toggle("video"));
  button("suggest").addEventListener("click", () => {
    input("room").value = suggestName(language());
    announce(input("room").value);
  });
  input("room").value = addressedRoom();
  input("name").value = recall("name");
  showInvitation();
  (input("room").value ? button("join") : input("room")).focus();
}
