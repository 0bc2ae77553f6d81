/** All that a call needs and the lobby does not, and its settings: load.js has it come. */

import { forgetCalls, showOwn, speakCall, startCall } from "./call.js";
import { speakChat, startChat } from "./chat.js";
import { showDevices, startDevices } from "./devices.js";
import { translate } from "./dom.js";
import { forgetInvites, startInvite } from "./invite.js";
import { forgetPersons } from "./people.js";
import { showCompared, showQuality, startQuality } from "./quality.js";
import { media } from "./state.js";
import { showStats, startStats } from "./stats-panel.js";

export { join } from "../lanturn.js";
export { follow, showCall } from "./call.js";

export function startRoom() {
  startDevices();
  startQuality();
  startCall();
  startInvite();
  startChat();
  startStats();
  media.addEventListener("change", showOwn);
  translate();
  speakRoom();
}

/** In another language. */
export function speakRoom() {
  speakCall();
  speakChat();
  showQuality();
  showCompared();
  showStats();
  void showDevices();
}

export function leaveRoom() {
  forgetCalls();
  forgetPersons();
  forgetInvites();
}
