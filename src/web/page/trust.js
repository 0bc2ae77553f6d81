/** The page about trust: how to, whether it works, and on to the page that was wanted. */

import { element, say, translate } from "./dom.js";
import { addWords, t } from "./i18n.js";
import { startLanguage } from "./language.js";
import { startTheme } from "./theme.js";
import { opens } from "./trust-check.js";
import { forOthers, readable, roomOf, wanted } from "./trust-place.js";
import { showSteps } from "./trust-steps.js";
import { en } from "./words/trust-en.js";
import { ko } from "./words/trust-ko.js";

/** @import { Way } from "./trust-check.js" */
/** @typedef {"waiting" | "works" | "fails"} Verdict */
/** @typedef {{name: string, fingerprint: string}} Authority */

const LOOK_EVERY_MS = 2_000;

const there = wanted(location.href);
const room = roomOf(there);
/** Who came over https wants to read this page, or to show it to others. */
const stays = location.protocol === "https:";

/** @type {Record<Way, Verdict>} */
const verdicts = { https: "waiting", wss: "waiting" };
/** Null when the owner brought a certificate, undefined while that is not known. @type {Authority | null | undefined} */
let authority;
/** Whether a look is under way, or was the last one. */
let looking = false;

function speak() {
  translate();
  if (authority) showSteps(authority.name);
}

function showLead() {
  say("trust-title", () => t(authority === null ? "ownTitle" : "trustTitle"));
  say("trust-lead", () => t(authority ? "trustLead" : authority === null ? "ownLead" : "trustWait"));
  for (const id of ["steps-card", "other-card"]) element(id, HTMLElement).hidden = !authority;
}

function showVerdicts() {
  for (const way of /** @type {const} */ (["https", "wss"])) {
    const verdict = verdicts[way];
    const line = element(`check-${way}`, HTMLElement);
    if (line.dataset.state !== verdict) line.querySelector("use")?.setAttribute("href", `#icon-${verdict}`);
    line.dataset.state = verdict;
    say(`verdict-${way}`, () => t(`verdict_${verdict}`));
  }
  say("result", result());
  const works = verdicts.https === "works" && verdicts.wss === "works";
  say("onward", () => t(room ? (works ? "onwardRoom" : "anywayRoom") : works ? "onward" : "anyway", { room }));
  element("onward-hint", HTMLElement).hidden = works || !authority;
}

/** @returns {() => string} */
function result() {
  const { https, wss } = verdicts;
  if (https === "waiting" || wss === "waiting") return () => t("result_waiting");
  if (https === "works" && wss === "works") {
    if (stays) return () => t("result_here");
    return () => (room ? t("result_room", { room }) : t("result_page"));
  }
  if (!authority) return () => t("result_unreachable");
  return () => t(https === "works" ? "result_half" : "result_fails");
}

/** Looks once, unless it is looking. */
async function look() {
  if (looking) return;
  looking = true;
  if (authority === undefined) void learn();
  // Firefox waits longer after each WebSocket that fails: while https fails, only the first look tries one.
  const isFirst = verdicts.wss === "waiting";
  const [https, early] = await Promise.all([opens("https", there.host), isFirst && opens("wss", there.host)]);
  const wss = early || (https && (await opens("wss", there.host)));
  settle({ https: https ? "works" : "fails", wss: wss ? "works" : "fails" });
  const movesOn = https && wss && !stays;
  if (movesOn) location.replace(there.href);
  looking = movesOn;
}

/** What did not change is not said again to those who listen. @param {Record<Way, Verdict>} found */
function settle(found) {
  if (verdicts.https === found.https && verdicts.wss === found.wss) return;
  Object.assign(verdicts, found);
  showVerdicts();
}

async function learn() {
  try {
    const answer = await fetch("/trust.json");
    authority = (await answer.json()).authority;
  } catch {
    // The box is away: the next look asks again.
    return;
  }
  showLead();
  showVerdicts();
  if (!authority) return;
  const bytes = (authority.fingerprint.match(/\w+:?/g) ?? []).flatMap((byte) => [byte, document.createElement("wbr")]);
  element("fingerprint", HTMLElement).replaceChildren(...bytes);
  showSteps(authority.name);
  const address = forOthers(location.href);
  element("other-address", HTMLElement).textContent = readable(address);
  await draw(address);
}

/** As a QR code, by the box. Without it there is still the address. @param {string} address */
async function draw(address) {
  const answer = await fetch("/qr", { method: "POST", body: address }).catch(() => null);
  if (!answer?.ok) return;
  const image = element("qr", HTMLImageElement);
  image.src = URL.createObjectURL(await answer.blob());
  image.hidden = false;
}

function start() {
  addWords({ en, ko });
  startTheme();
  showLead();
  element("onward", HTMLAnchorElement).href = there.href;
  element("compare-hint", HTMLElement).hidden = stays;
  showVerdicts();
  startLanguage(speak);
  void look();
  setInterval(() => void look(), LOOK_EVERY_MS);
  // Coming back from the settings of the device.
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && void look());
}

start();
