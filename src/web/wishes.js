/**
 * What a receiver wishes for in its description, and a sender obeys: the parameters of Opus (RFC 7587 section 6.1) and the
 * order of the codecs (RFC 8829 section 5.10). To send otherwise, one reads the other's description otherwise. There is
 * `setCodecPreferences` for the latter, but with it Firefox gives other numbers to codecs that are in use, which Chromium
 * refuses for ever. Used through lanturn.js.
 *
 * @import { AudioSettings, Quality } from "./lanturn.js"
 */

import { ordered } from "./quality.js";
import { USES } from "./sections.js";

const OPUS = /^a=rtpmap:(\d+) opus\/48000/gim;

/** Their description, so that we send as it was asked for. @param {string} sdp @param {Quality} quality @returns {string} */
export function sending(sdp, quality) {
  let uses = 0;
  const sections = sdp.split(/^(?=m=)/m).map((section) => {
    if (!section.startsWith("m=video ")) return section;
    const use = USES[uses++];
    return withOrder(section, (use && quality[use].codecs) ?? []);
  });
  return sendOpus(sections.join(""), quality.audio);
}

/** Whether two wishes are for the same. @param {Quality} one @param {Quality} other @returns {boolean} */
export function alike(one, other) {
  const words = (/** @type {Quality} */ { camera, screen, audio: { fec, dtx, music } }) =>
    JSON.stringify([fec, dtx, music, camera.codecs ?? [], screen.codecs ?? []]);
  return words(one) === words(other);
}

/** @param {string} section of video @param {string[]} wanted MIME types @returns {string} */
function withOrder(section, wanted) {
  const names = new Map([...section.matchAll(/^a=rtpmap:(\d+) ([^/\s]+)/gm)].map(([, payload, name]) => [payload, `video/${name}`]));
  return section.replace(/^(m=video \d+ \S+) (.*?)(\r?)$/m, (_, head, payloads, end) => {
    const able = payloads.split(" ").map((/** @type {string} */ payload) => ({ payload, mimeType: names.get(payload) ?? "" }));
    return `${head} ${ordered(able, wanted).map((each) => /** @type {any} */ (each).payload).join(" ")}${end}`;
  });
}

/** @param {string} sdp @param {AudioSettings} settings @returns {string} */
function sendOpus(sdp, { fec, dtx, music }) {
  const flag = (/** @type {boolean} */ is) => (is ? "1" : "0");
  return withParameters(sdp, { useinbandfec: flag(fec), usedtx: flag(dtx), stereo: flag(music) });
}

/** What we hear of them: both channels, should there be two. @param {string} sdp ours @returns {string} */
export function hearOpus(sdp) {
  return withParameters(sdp, { stereo: "1" });
}

/** @param {string} sdp @param {Record<string, string>} parameters @returns {string} */
function withParameters(sdp, parameters) {
  for (const [, payload] of sdp.matchAll(OPUS)) {
    const line = new RegExp(`^a=fmtp:${payload} (.*)$`, "gm");
    if (!line.test(sdp)) sdp = sdp.replaceAll(new RegExp(`^a=rtpmap:${payload} .*$`, "gm"), `$&\r\na=fmtp:${payload} `);
    sdp = sdp.replaceAll(line, (_, said) => `a=fmtp:${payload} ${merged(said, parameters)}`);
  }
  return sdp;
}

/** @param {string} said @param {Record<string, string>} parameters @returns {string} */
function merged(said, parameters) {
  const pairs = said.split(";").map((each) => each.trim()).filter(Boolean);
  const all = new Map(pairs.map((each) => /** @type {[string, string]} */ (each.split("="))));
  for (const [name, value] of Object.entries(parameters)) all.set(name, value);
  return [...all].map(([name, value]) => `${name}=${value}`).join(";");
}
