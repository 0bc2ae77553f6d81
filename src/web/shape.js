/**
 * Makes what a connection sends as it was asked for, as far as parameters of its senders do it. What takes a new
 * description is in wishes.js. Used through lanturn.js.
 *
 * @import { Quality } from "./lanturn.js"
 */

import { allowance, audioBitrate, scaleDown } from "./quality.js";
import { sectionsOf, USES } from "./sections.js";

/** What was set last, so that nothing is set again. @type {WeakMap<object, string>} */
const done = new WeakMap();

/** @param {RTCPeerConnection} pc @param {Quality} quality @param {number} step */
export async function shape(pc, quality, step) {
  const [voice] = sectionsOf(pc, "audio");
  if (voice?.sender.track) await set(voice.sender, { maxBitrate: audioBitrate(quality.audio) });
  for (const [i, { sender }] of sectionsOf(pc, "video").slice(0, USES.length).entries()) {
    if (!sender.track) continue;
    const settings = quality[USES[i]];
    const { maxBitrate, frameRate, scale } = allowance(settings, step);
    const scaleResolutionDownBy = scaleDown(settings, sender.track.getSettings(), scale);
    await set(sender, { maxBitrate, maxFramerate: frameRate, scaleResolutionDownBy }, settings.degradationPreference);
  }
}

/**
 * @param {RTCRtpSender} sender @param {RTCRtpEncodingParameters} wanted undefined takes a limit away
 * @param {RTCDegradationPreference} [degradationPreference]
 */
async function set(sender, wanted, degradationPreference) {
  const parameters = sender.getParameters();
  // Not negotiated yet: it is done again when it is.
  const [encoding] = parameters.encodings ?? [];
  const text = JSON.stringify([wanted, degradationPreference]);
  if (!encoding || done.get(sender) === text) return;
  for (const [name, value] of Object.entries(wanted)) {
    if (value === undefined) delete (/** @type {any} */ (encoding)[name]);
    else Object.assign(encoding, { [name]: value });
  }
  if (degradationPreference) Object.assign(parameters, { degradationPreference });
  // In the midst of a negotiation it may be refused. It is tried again; the statistics tell what is so.
  await sender.setParameters(parameters).then(() => done.set(sender, text), () => {});
}
