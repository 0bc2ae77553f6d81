/** How each kind of device is told to trust the box. */

import { element, make, say } from "./dom.js";
import { t } from "./i18n.js";

/** @import { Key } from "./i18n.js" */
/** @typedef {"ios" | "android" | "windows" | "macos" | "linux" | "firefox"} Platform */

/** @type {Platform[]} */
const PLATFORMS = ["ios", "android", "windows", "macos", "linux", "firefox"];
/** What the file is called where it is saved. */
const FILE = "lanturn-ca.crt";

/**
 * An iPad calls itself a Mac, but has a touch screen. Firefox on a computer has a list of its own.
 * @param {{userAgent: string, maxTouchPoints: number}} browser @returns {Platform}
 */
export function platformOf({ userAgent, maxTouchPoints }) {
  if (/iPhone|iPad|iPod/.test(userAgent) || (/Macintosh/.test(userAgent) && maxTouchPoints > 1)) return "ios";
  if (/Android/.test(userAgent)) return "android";
  if (/Firefox\//.test(userAgent)) return "firefox";
  if (/Windows/.test(userAgent)) return "windows";
  return /Macintosh/.test(userAgent) ? "macos" : "linux";
}

/** The one that was chosen. @type {Platform | undefined} */
let chosen;
const shown = () => chosen ?? platformOf(navigator);

/** In the language of now. @param {string} name what devices list the authority as */
export function showSteps(name) {
  const choices = element("platforms", HTMLFieldSetElement);
  for (const label of choices.querySelectorAll("label")) label.remove();
  choices.append(...PLATFORMS.map((platform) => choice(platform, name)));
  showChosen(name);
}

/** @param {Platform} platform @param {string} name */
function choice(platform, name) {
  const radio = document.createElement("input");
  Object.assign(radio, { type: "radio", name: "platform", value: platform, checked: platform === shown() });
  radio.addEventListener("change", () => {
    chosen = platform;
    showChosen(name);
  });
  return make("label", "", radio, make("span", "", t(/** @type {Key} */ (`platform_${platform}`))));
}

/** @param {string} name */
function showChosen(name) {
  const platform = shown();
  const lines = t(/** @type {Key} */ (`steps_${platform}`), { name, file: FILE }).split("\n");
  const [first, ...rest] = [...lines, t("stepsBack")].map((text) => make("li", "", text));
  first.append(download(platform));
  element("steps", HTMLOListElement).replaceChildren(first, ...rest);
  say("compare-how", () => t(/** @type {Key} */ (`compare_${platform}`), { file: FILE }));
}

/** @param {Platform} platform */
function download(platform) {
  const link = /** @type {HTMLAnchorElement} */ (make("a", "button primary", t(platform === "ios" ? "getProfile" : "getFile")));
  link.id = "get";
  link.href = platform === "ios" ? "/lanturn.mobileconfig" : "/ca.crt";
  // Apple's systems and Firefox take what they open; elsewhere a file is wanted, to be chosen later.
  if (platform !== "ios" && platform !== "firefox") link.download = FILE;
  return link;
}
