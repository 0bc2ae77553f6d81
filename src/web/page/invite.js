/** What a room's members can do about the room itself: invite; and for its host, lock it and give it a PIN. */

import { inviteLink } from "./address.js";
import { button, copy, element, input, notice } from "./dom.js";
import { errorText, t } from "./i18n.js";
import { isOpen, onPanel } from "./panels.js";
import { state } from "./state.js";

/** @import { Room } from "../lanturn.js" */

let hadPin = false;
/** How many links were asked for: only the last is shown. */
let asked = 0;

const roles = () => [...document.querySelectorAll("[name=invite-role]")].filter((each) => each instanceof HTMLInputElement);

export function startInvite() {
  for (const each of roles()) each.addEventListener("change", () => void invite());
  button("invite-copy").addEventListener("click", () => void copy(input("invite-link")));
  button("invite-share").hidden = !navigator.share;
  // Who changes their mind has seen enough of a message.
  button("invite-share").addEventListener("click", () => void navigator.share({ url: input("invite-link").value }).catch(() => {}));
  input("lock").addEventListener("change", () => state.room?.lock(input("lock").checked));
  element("pin-form", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    const pin = input("room-pin").value.trim();
    if (pin) state.room?.setPin(pin);
  });
  button("pin-remove").addEventListener("click", () => {
    input("room-pin").value = "";
    // The button goes.
    input("room-pin").focus();
    state.room?.setPin(null);
  });
  onPanel((id) => id === "panel-invite" && void invite());
}

/** How the room stands. @param {Room} room */
export function showStanding(room) {
  element("host-tools", HTMLElement).hidden = room.host !== room.self.id;
  input("lock").checked = room.locked;
  input("room-pin").placeholder = t(room.hasPin ? "pinUnchanged" : "pinNone");
  button("pin-remove").hidden = !room.hasPin;
  const words = [...(room.locked ? [t("isLocked")] : []), ...(room.hasPin ? [t("hasPin")] : [])].join(" · ");
  element("standing", HTMLElement).textContent = words;
  if (hadPin === room.hasPin) return;
  hadPin = room.hasPin;
  // An invite that was made before the PIN is good no more.
  if (isOpen("panel-invite")) void invite();
}

export function forgetInvites() {
  showLink("");
  input("room-pin").value = "";
  element("standing", HTMLElement).textContent = "";
}

/** Makes a link for the role that is chosen, and draws it. */
async function invite() {
  const { room } = state;
  if (!room) return;
  const [member, viewer] = roles();
  member.disabled = room.self.role === "viewer";
  if (member.disabled) viewer.checked = true;
  const role = viewer.checked ? "viewer" : "member";
  const ask = (asked += 1);
  showLink("");
  try {
    const { invite } = await room.invite({ role });
    if (ask !== asked) return;
    const link = inviteLink(room.name, invite, role);
    showLink(link);
    await draw(link);
  } catch (error) {
    if (ask === asked) notice(() => t("inviteLost", { text: errorText({ id: error.id ?? "", text: error.message }) }));
  }
}

/** @param {string} link "" as long as there is none */
function showLink(link) {
  input("invite-link").value = link;
  for (const id of ["invite-copy", "invite-share"]) button(id).disabled = link === "";
  element("invite-qr", HTMLImageElement).hidden = true;
}

/** As a QR code, by the box: the link goes in the body of the request, so that no log has it. @param {string} link */
async function draw(link) {
  const answer = await fetch("/qr", { method: "POST", body: link });
  const drawing = answer.ok ? await answer.blob() : null;
  // Meanwhile another was asked for.
  if (input("invite-link").value !== link) return;
  const image = element("invite-qr", HTMLImageElement);
  image.hidden = !drawing;
  URL.revokeObjectURL(image.src);
  if (drawing) image.src = URL.createObjectURL(drawing);
}
