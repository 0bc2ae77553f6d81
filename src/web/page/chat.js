/** What is written and which files are sent, beside the call. Nothing is kept. */

import { announce, button, element, input, make, makeButton, notice } from "./dom.js";
import { language, t } from "./i18n.js";
import { isOpen, onPanel } from "./panels.js";
import { nameOf } from "./people.js";
import { state } from "./state.js";

/** @import { Peer, Room, Transfer } from "../lanturn.js" */
/** @import { Key } from "./i18n.js" */

/** What is older makes way. */
const MOST_ENTRIES = 500;
/** @type {Record<string, Key>} */
const REASONS = { "too-large": "why_large", "too-many": "why_many", lost: "why_lost", broken: "why_broken" };

let unread = 0;
/** The files of the entries that are shown, and what shows how each stands. @type {Map<Element, {transfer: Transfer, show: () => void}>} */
const transfers = new Map();

/** @param {{peer: Peer, text: string, at: Date}} message */
export function hear({ peer, text, at }) {
  add(entry(nameOf(peer), at, false, make("p", "text", text)));
  count(t("saidTo", { name: nameOf(peer), text }));
}

/** @param {{peer: Peer, transfer: Transfer}} offer */
export function offered({ peer, transfer }) {
  add(transferEntry(transfer));
  count(t("fileOffered", { name: nameOf(peer) }));
}

export function forgetChat() {
  for (const made of [...talk().children]) if (made.id !== "talk-empty") drop(made);
  element("talk-empty", HTMLElement).hidden = false;
  read();
}

/** In another language. */
export function speakChat() {
  for (const { show } of transfers.values()) show();
}

const talk = () => element("talk", HTMLElement);
const writing = () => element("chat-text", HTMLTextAreaElement);

export function startChat() {
  element("chat-form", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    say();
  });
  writing().addEventListener("keydown", (event) => {
    // Enter also ends a syllable that is being put together, as in Korean.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    say();
  });
  button("attach").addEventListener("click", () => input("attach-file").click());
  input("attach-file").addEventListener("change", () => {
    send(input("attach-file").files);
    input("attach-file").value = "";
  });
  onPanel((id) => id === "panel-chat" && read());
  startDrop();
}

/** Files can be dropped anywhere on the page while we are in a room. */
function startDrop() {
  const drop = element("drop", HTMLElement);
  const carries = (/** @type {DragEvent} */ event) => state.room !== null && event.dataTransfer?.types.includes("Files") === true;
  document.addEventListener("dragover", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    drop.hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.hidden = true;
  });
  document.addEventListener("drop", (event) => {
    drop.hidden = true;
    if (!carries(event)) return;
    event.preventDefault();
    send(event.dataTransfer?.files);
  });
}

function say() {
  const text = writing().value.trim();
  const { room } = state;
  if (!text || !room) return;
  if (!room.say(text)) return notice(() => t("nobodyReads"));
  writing().value = "";
  add(entry(t("you"), new Date(), true, make("p", "text", text)));
}

/** @param {FileList | null | undefined} files */
function send(files) {
  for (const file of files ?? []) {
    const transfers = state.room?.sendFile(file) ?? [];
    if (transfers.length === 0) notice(() => t("nobodyReads"));
    for (const transfer of transfers) add(transferEntry(transfer));
  }
}

/** @param {string} who @param {Date} at @param {boolean} own @param {HTMLElement[]} content */
function entry(who, at, own, ...content) {
  const time = /** @type {HTMLTimeElement} */ (make("time", "", at.toLocaleTimeString(language(), { hour: "2-digit", minute: "2-digit" })));
  time.dateTime = at.toISOString();
  return make("div", own ? "said own" : "said", make("p", "who", who, time), ...content);
}

/** @param {Transfer} transfer */
function transferEntry(transfer) {
  const own = transfer.direction === "out";
  const standing = make("p", "");
  const progress = /** @type {HTMLProgressElement} */ (make("progress", ""));
  const accept = makeButton("primary", "");
  const refuse = makeButton("", "");
  const cancel = makeButton("", "");
  const actions = make("div", "row", accept, refuse, cancel);
  progress.setAttribute("aria-label", transfer.name);
  progress.max = Math.max(1, transfer.size);
  accept.addEventListener("click", () => void receive(transfer, actions));
  refuse.addEventListener("click", () => transfer.refuse());
  cancel.addEventListener("click", () => transfer.cancel());
  const show = () => {
    const { state: now, reason, moved, size } = transfer;
    const why = REASONS[reason];
    accept.textContent = t("fileAccept");
    refuse.textContent = t("fileRefuse");
    cancel.textContent = t("cancel");
    progress.value = moved;
    progress.hidden = now !== "running";
    accept.hidden = refuse.hidden = own || now !== "offered";
    cancel.hidden = !(now === "running" || (own && now === "offered"));
    const share = now === "running" ? `${Math.floor((100 * moved) / Math.max(1, size))} %` : t(/** @type {Key} */ (`transfer_${now}`));
    standing.textContent = [sizeWords(size), share, ...(why ? [t(why)] : [])].join(" · ");
  };
  transfer.addEventListener("progress", show);
  transfer.addEventListener("state", show);
  show();
  const who = own ? `${t("you")} ${t("fileTo", { name: nameOf(transfer.peer) })}` : nameOf(transfer.peer);
  const name = make("p", "text", transfer.name);
  const made = entry(who, new Date(), own, name, standing, progress, actions);
  transfers.set(made, { transfer, show });
  return made;
}

/** @param {Transfer} transfer @param {HTMLElement} actions */
async function receive(transfer, actions) {
  const whole = await transfer.accept().catch(() => null);
  // What went wrong, the entry says.
  if (!whole) return;
  const link = /** @type {HTMLAnchorElement} */ (make("a", "button", t("fileSave")));
  // To be saved, and never to be shown as a page of ours, whatever the other side calls it.
  link.href = URL.createObjectURL(new Blob([whole], { type: "application/octet-stream" }));
  link.download = transfer.name;
  actions.replaceChildren(link);
}

/** @param {number} bytes */
function sizeWords(bytes) {
  const [unit, size] = bytes < 1e3 ? ["byte", bytes] : bytes < 1e6 ? ["kilobyte", bytes / 1e3] : ["megabyte", bytes / 1e6];
  return new Intl.NumberFormat(language(), { style: "unit", unit: String(unit), maximumFractionDigits: 1 }).format(Number(size));
}

/** @param {HTMLElement} made */
function add(made) {
  const list = talk();
  element("talk-empty", HTMLElement).hidden = true;
  list.append(made);
  if (list.children.length > MOST_ENTRIES + 1) drop(list.children[1]);
  list.scrollTop = list.scrollHeight;
}

/** @param {Element} made an entry, with what it holds */
function drop(made) {
  const transfer = transfers.get(made)?.transfer;
  if (transfer?.state === "running" || transfer?.direction === "out") transfer.cancel();
  else transfer?.refuse();
  transfers.delete(made);
  for (const link of made.querySelectorAll("a")) URL.revokeObjectURL(link.href);
  made.remove();
}

/** Somebody said something while nobody looked. @param {string} words */
function count(words) {
  if (isOpen("panel-chat")) return;
  announce(words);
  unread += 1;
  showUnread();
}

function read() {
  unread = 0;
  showUnread();
}

function showUnread() {
  const badge = element("unread", HTMLElement);
  badge.hidden = unread === 0;
  badge.replaceChildren(make("span", "", String(Math.min(unread, 99))), make("span", "sr-only", ` ${t("unread", { count: unread })}`));
}
