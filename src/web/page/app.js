/** The page: the way into a room and out of it, and what is seen when. */

import { addressedOptions, addressedRoom, forgetInvite, isInvited, pathOf } from "./address.js";
import { button, copy, element, input, notice, say, translate } from "./dom.js";
import { errorText, t } from "./i18n.js";
import { startLanguage } from "./language.js";
import { askPin, kinds, showInvitation, showLobbyButtons, showPreview, startLobby, toggle, typed, wantedKinds } from "./lobby.js";
import { loadedRest, needRest, startLoading } from "./load.js";
import { closePanel, onPanel, startPanels } from "./panels.js";
import { explainInsecure, explainRefusal } from "./refusal.js";
import { media, restoreQuality, state } from "./state.js";
import { startTheme } from "./theme.js";

/** @import { Room } from "../lanturn.js" */
/** @import { Rest } from "./load.js" */
/** @typedef {"lobby" | "call" | "ended"} View */

/** @type {AbortController | null} the way into a room */
let entering = null;
/** How the last room was entered. */
let withMedia = true;

/** @param {boolean} sending with the camera and microphone, as far as they are wanted */
async function enter(sending) {
  entering?.abort();
  const attempt = (entering = new AbortController());
  withMedia = sending;
  notice();
  // The camera may take its time, or a person to allow it: the room does not wait.
  if (sending) void media.start(...wantedKinds());
  else media.stop(...kinds());
  showLobbyButtons(true);
  const { room, name, pin } = typed();
  if (isInvited() && room !== addressedRoom()) forgetInvite();
  try {
    const options = { name, pin, media, signal: attempt.signal, ...addressedOptions() };
    const rest = await needRest(pathOf(room) + location.search + location.hash);
    adopt(rest, await rest.join(undefined, room, options));
  } catch (error) {
    if (attempt.signal.aborted) return;
    media.stop(...kinds());
    refused({ id: error.id ?? "", text: error.message });
  } finally {
    if (entering === attempt) entering = null;
    showLobbyButtons(entering !== null);
  }
}

/** Says why the room was not entered, and asks for what was missing. @param {{id: string, text: string}} error */
function refused(error) {
  notice(() => errorText(error));
  if (error.id === "bad-invite") forgetInvite();
  showInvitation();
  if (error.id === "bad-pin") askPin();
}

/** @param {Rest} rest @param {Room} entered */
function adopt(rest, entered) {
  state.room = entered;
  rest.follow(entered, (reason) => showEnded(entered, reason));
  const path = pathOf(entered.name);
  if (location.pathname !== path) history.pushState(null, "", path + location.search + location.hash);
  showView("call");
  rest.showCall(entered);
  showPreview();
}

/** @param {View} view */
function showView(view) {
  document.body.dataset.view = view;
  for (const each of ["lobby", "call", "ended"]) element(each, HTMLElement).hidden = each !== view;
  for (const id of ["room-line", "bar", "invite"]) element(id, HTMLElement).hidden = view !== "call";
  if (view !== "call") document.title = "lanturn";
  closePanel({ refocus: false });
}

/** Out of the room for good. @param {Room} left @param {string} reason */
function showEnded(left, reason) {
  state.room = null;
  media.stop(...kinds());
  loadedRest()?.leaveRoom();
  notice();
  input("room").value = left.name;
  say("ended-title", () => (reason === "left" ? t("youLeft") : errorText({ id: reason, text: reason })));
  say("ended-room", () => t("endedRoom", { room: left.name }));
  showView("ended");
  element("ended-title", HTMLElement).focus();
  if (reason === "bad-pin") {
    // Only who types the new one comes back.
    showView("lobby");
    refused({ id: reason, text: reason });
  }
}

function showLobby() {
  showView("lobby");
  showInvitation();
  showLobbyButtons(false);
}

function speak() {
  translate();
  showLobbyButtons(entering !== null);
  loadedRest()?.speakRoom();
}

function startEnded() {
  button("rejoin").addEventListener("click", () => {
    showLobby();
    void enter(withMedia);
  });
  button("other-room").addEventListener("click", () => {
    forgetInvite();
    showLobby();
    input("room").select();
  });
}

/** The browser's own way back. */
function startHistory() {
  addEventListener("popstate", () => {
    entering?.abort();
    state.room?.leave();
    input("room").value = addressedRoom();
    showLobby();
  });
}

function start() {
  startTheme();
  restoreQuality();
  startLanguage(speak);
  startPanels();
  // The settings are of use before a call, too.
  onPanel((id) => id && void needRest(location.href).catch((error) => notice(() => errorText(error))));
  startEnded();
  startLobby((sending) => void enter(sending));
  startHistory();
  button("mic").addEventListener("click", () => toggle("audio"));
  button("camera").addEventListener("click", () => toggle("video"));
  button("leave").addEventListener("click", () => state.room?.leave());
  button("copy").addEventListener("click", () => void copy(input("link")));
  button("notice-close").addEventListener("click", () => notice());
  media.addEventListener("change", () => {
    showPreview();
    showLobbyButtons(entering !== null);
  });
  media.addEventListener("refused", (event) => {
    explainRefusal(event.detail);
  });
  showPreview();
  showLobbyButtons(false);
  if (!isSecureContext) explainInsecure();
  startLoading();
}

start();
