/** What a room's members can do about the room itself: invite; and for its host, lock it, give it a PIN, send away. */

import { errorText, t } from "./i18n.js";
import { announce, element, notice } from "./view.js";

/** @import { Room } from "./lanturn.js" */

const input = (/** @type {string} */ id) => element(id, HTMLInputElement);

/** The menu of the room that the page is in. @param {() => Room | null} current */
export function manage(current) {
  element("invite", HTMLButtonElement).addEventListener("click", () => void invite(current()));
  input("lock").addEventListener("change", () => current()?.lock(input("lock").checked));
  element("pin-form", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    current()?.setPin(input("room-pin").value.trim() || null);
  });
  const menu = element("room-menu", HTMLDetailsElement);
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary")?.focus();
  });
  document.addEventListener("click", (event) => {
    if (event.target instanceof Node && !menu.contains(event.target)) menu.open = false;
  });
}

/** @param {Room | null} room none: the page is in no room */
export function showStanding(room) {
  const menu = element("room-menu", HTMLDetailsElement);
  menu.hidden = room === null;
  if (!room) {
    menu.open = false;
    input("invite-link").hidden = true;
    return;
  }
  element("host-tools", HTMLElement).hidden = room.host !== room.self.id;
  input("lock").checked = room.locked;
  const words = [...(room.locked ? [t("isLocked")] : []), ...(room.hasPin ? [t("hasPin")] : [])];
  element("standing", HTMLElement).textContent = words.join(" · ");
  const isViewer = room.self.role === "viewer";
  const role = element("invite-role", HTMLSelectElement);
  role.options[0].disabled = isViewer;
  if (isViewer) role.value = "viewer";
}

/** The link says who it is for, so that a page of a viewer asks for no camera. @param {Room | null} room */
async function invite(room) {
  if (!room) return;
  const role = element("invite-role", HTMLSelectElement).value;
  try {
    const { invite } = await room.invite({ role });
    const link = input("invite-link");
    link.value = `${location.origin}/r/${encodeURIComponent(room.name)}#invite=${encodeURIComponent(invite)}&role=${role}`;
    link.hidden = false;
    link.select();
    await navigator.clipboard.writeText(link.value).then(() => announce(t("copied")), () => notice(t("copyFailed")));
  } catch (error) {
    notice(t("inviteLost", { text: errorText({ id: error.id ?? "", text: error.message }) }));
  }
}
