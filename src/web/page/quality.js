/** How good the picture is to be: presets, settings by hand, and what became of them. */

import { codecs, presets } from "../lanturn.js";
import { fillCards, fillSelect } from "./choices.js";
import { element, make } from "./dom.js";
import { bits } from "./figures.js";
import { t } from "./i18n.js";
import { keep } from "./kept.js";
import { isOpen } from "./panels.js";
import { nameOf } from "./people.js";
import { media, state } from "./state.js";

/** @import { Compared, Preset, VideoSettings } from "../lanturn.js" */
/** @import { Choice } from "./choices.js" */
/** @import { Key } from "./i18n.js" */
/** @typedef {"camera" | "screen"} Of */

/** @type {Record<Of, Preset[]>} */
const PRESETS = { camera: ["saver", "balanced", "sharp", "smooth"], screen: ["text", "motion"] };
const SIZES = [[320, 180], [640, 360], [960, 540], [1280, 720], [1920, 1080], [2560, 1440], [3840, 2160]];
const FRAME_RATES = [5, 10, 15, 24, 30, 60];
const BITRATES = [150_000, 300_000, 600_000, 1_000_000, 1_500_000, 2_500_000, 4_000_000, 6_000_000, 10_000_000];
const FIELDS = ["size", "frameRate", "maxBitrate", "degradationPreference", "contentHint", "codec", "codecThen"];
/** A share of what was asked that is as good as all of it. */
const NEARLY = 0.9;

const select = (/** @type {string} */ field) => element(`q-${field}`, HTMLSelectElement);

export function startQuality() {
  for (const field of FIELDS) select(field).addEventListener("change", () => void media.setQuality({ [manualOf()]: read(field) }));
  for (const each of document.querySelectorAll("[name=manual-of]")) each.addEventListener("change", showQuality);
  media.addEventListener("quality", () => {
    // What is left to the browser is kept, too.
    keep("quality", JSON.stringify(media.quality, (_, value) => value ?? null));
    showQuality();
  });
}

/** @returns {Of} */
function manualOf() {
  const chosen = document.querySelector("[name=manual-of]:checked");
  return chosen instanceof HTMLInputElement && chosen.value === "screen" ? "screen" : "camera";
}

/** What a list says. @param {string} field @returns {VideoSettings} */
function read(field) {
  const { value } = select(field);
  if (field === "size") {
    const [width, height] = value.split("x").map(Number);
    return { width, height };
  }
  if (field.startsWith("codec")) return { codecs: readCodecs() };
  if (field === "frameRate" || field === "maxBitrate") return { [field]: value ? Number(value) : undefined };
  return { [field]: value };
}

/** In the order in which they are tried; the others follow in the browser's own. */
function readCodecs() {
  const [first, then] = ["codec", "codecThen"].map((field) => select(field).value);
  return first ? [...new Set([first, then])].filter(Boolean) : [];
}

/** @param {VideoSettings} settings @param {Preset} name */
function isPreset(settings, name) {
  /** @type {Readonly<VideoSettings>} */
  const preset = presets[name];
  return /** @type {(keyof VideoSettings)[]} */ (Object.keys(preset)).every((key) => key === "codecs" || settings[key] === preset[key]);
}

export function showQuality() {
  for (const of of /** @type {Of[]} */ (["camera", "screen"])) {
    const choices = PRESETS[of].map((name) => ({ value: name, text: t(/** @type {Key} */ (`preset_${name}`)), hint: summary(presets[name]) }));
    const chosen = PRESETS[of].find((name) => isPreset(media.quality[of], name)) ?? "";
    const group = element(`${of}-presets`, HTMLElement);
    const had = document.activeElement instanceof HTMLInputElement && group.contains(document.activeElement) ? document.activeElement.value : null;
    fillCards(group, `preset-${of}`, choices, chosen, (name) => void media.setQuality({ [of]: /** @type {Preset} */ (name) }));
    if (had) /** @type {HTMLElement | null} */ (group.querySelector(`[value=${had}]`))?.focus();
  }
  showManual(media.quality[manualOf()]);
}

/** @param {VideoSettings} settings */
function summary({ height, frameRate, maxBitrate }) {
  return [height ? `${height}p${frameRate ?? ""}` : "", maxBitrate ? bits(maxBitrate) : ""].filter(Boolean).join(" · ");
}

/** @param {VideoSettings} settings */
function showManual({ width, height, frameRate, maxBitrate, degradationPreference, contentHint, codecs: wanted }) {
  /** What is set and not in the list is put into it. @param {string} field @param {Choice[]} list @param {string} chosen @param {string} text */
  const fill = (field, list, chosen, text) => {
    const all = list.some(({ value }) => value === chosen) ? list : [{ value: chosen, text }, ...list];
    fillSelect(select(field), all, chosen);
  };
  const automatic = { value: "", text: t("automatic") };
  const size = width && height ? `${width}x${height}` : "";
  fill("size", SIZES.map(([w, h]) => ({ value: `${w}x${h}`, text: `${w}×${h}` })), size, size ? `${width}×${height}` : t("automatic"));
  fill("frameRate", FRAME_RATES.map((rate) => ({ value: String(rate), text: String(rate) })), String(frameRate ?? ""), frameRate ? String(frameRate) : t("automatic"));
  fill("maxBitrate", [automatic, ...BITRATES.map((rate) => ({ value: String(rate), text: bits(rate) }))], String(maxBitrate ?? ""), bits(maxBitrate ?? 0));
  const preferences = ["balanced", "maintain-framerate", "maintain-resolution"];
  const keeps = preferences.map((value) => ({ value, text: t(/** @type {Key} */ (`keep_${value.replace("maintain-", "")}`)) }));
  fill("degradationPreference", keeps, degradationPreference ?? "", t("automatic"));
  const hints = ["motion", "detail", "text"].map((value) => ({ value, text: t(/** @type {Key} */ (`hint_${value}`)) }));
  fill("contentHint", [automatic, ...hints], contentHint ?? "", "");
  const known = codecs("video").map((value) => ({ value, text: value.replace("video/", "") }));
  const [first = "", then = ""] = wanted ?? [];
  fill("codec", [automatic, ...known], first, first);
  fill("codecThen", [automatic, ...known.filter(({ value }) => value !== first)], then, then);
  select("codecThen").disabled = !first;
}

/** What was asked for beside what is sent to the first who is sent anything. */
export function showCompared() {
  if (!isOpen("panel-settings")) return;
  const peer = [...(state.room?.peers.values() ?? [])].find(({ stats }) => stats && stats.compared.length > 0);
  element("compared", HTMLElement).hidden = !peer;
  if (!peer?.stats) return;
  element("compared-to", HTMLElement).textContent = t("comparedTo", { name: nameOf(peer) });
  element("compared-rows", HTMLElement).replaceChildren(...peer.stats.compared.map(row));
}

/** @param {Compared} compared */
function row({ of, what, asked, allowed, sent }) {
  const words = (/** @type {number | string | undefined} */ value) => {
    if (value === undefined) return t("automatic");
    return what === "maxBitrate" ? bits(Number(value)) : typeof value === "number" ? String(Math.round(value)) : value.replace(/^\w+\//, "");
  };
  const whose = t(of === "audio" ? "soundTitle" : of);
  const head = make("th", "", `${whose}: ${t(/** @type {Key} */ (`compared_${what}`))}`);
  head.setAttribute("scope", "row");
  const less = typeof sent === "number" && typeof asked === "number" && what !== "maxBitrate" && sent < asked * NEARLY;
  const limit = asked === allowed ? words(asked) : t("allowed", { asked: words(asked), allowed: words(allowed) });
  return make("tr", "", head, make("td", "", limit), make("td", less ? "less" : "", words(sent)));
}
