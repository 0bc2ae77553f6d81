/** Why there is no camera or microphone, in the words of the browser at hand, and what helps. */

import { notice } from "./dom.js";
import { t } from "./i18n.js";

/** @import { Key } from "./i18n.js" */
/** @import { Refusal } from "../lanturn.js" */

/**
 * Whose settings a person will see.
 * @param {string} agent navigator.userAgent @param {number} [fingers] navigator.maxTouchPoints: an iPad says that it is a Mac
 * @returns {"ios" | "iosOther" | "safari" | "android" | "firefoxAndroid" | "firefox" | "chromium"}
 */
export function browserOf(agent, fingers = 0) {
  if (/CriOS|FxiOS|EdgiOS|OPiOS/.test(agent)) return "iosOther";
  if (/iPhone|iPad|iPod/.test(agent) || (/Macintosh.*Version\//.test(agent) && fingers > 1)) return "ios";
  if (/Firefox\//.test(agent)) return /Android/.test(agent) ? "firefoxAndroid" : "firefox";
  if (/Android/.test(agent)) return "android";
  return /Chrome|Chromium/.test(agent) ? "chromium" : "safari";
}

/** @param {Refusal} why */
export function explainRefusal(why) {
  if (why === "insecure") return explainInsecure();
  if (why !== "denied") return notice(() => t(`media_${why}`));
  const way = /** @type {Key} */ (`denied_${browserOf(navigator.userAgent, navigator.maxTouchPoints)}`);
  notice(() => `${t("media_denied")} ${t(way)} ${t("media_meanwhile")}`);
}

/** The page came unencrypted: there is a way to the one that did not. */
export function explainInsecure() {
  const there = new URL(location.href);
  there.protocol = "https:";
  notice(() => t("media_insecure"), { href: there.href, words: () => t("openSecure", { host: there.host }) });
}
