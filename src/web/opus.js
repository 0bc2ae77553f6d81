/**
 * What a description says of Opus (RFC 7587 section 6.1), where the browser has no other way to say it. Each parameter is
 * the receiver's wish, which a sender obeys: to send otherwise, one reads the other's description otherwise.
 * Used through lanturn.js.
 *
 * @import { AudioSettings } from "./lanturn.js"
 */

const OPUS = /^a=rtpmap:(\d+) opus\/48000/gim;

/** What we send to them: as we want it. @param {string} sdp theirs @param {AudioSettings} settings @returns {string} */
export function sendOpus(sdp, { fec, dtx, music }) {
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
