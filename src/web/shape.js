/**
 * Makes what a connection sends as it was asked for, by the least that does it: parameters of a sender need nothing else,
 * an order of codecs needs a new offer. Used through lanturn.js.
 *
 * @import { Quality } from "./lanturn.js"
 */

import { allowance, audioBitrate, ordered, scaleDown } from "./quality.js";
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

/** Puts the codecs in their order. Whether that takes a new offer. @param {RTCPeerConnection} pc @param {Quality} quality */
export function prefer(pc, quality) {
  let changes = false;
  for (const [i, section] of sectionsOf(pc, "video").slice(0, USES.length).entries()) {
    const wanted = quality[USES[i]].codecs ?? [];
    if ((done.get(section) ?? "") === wanted.join()) continue;
    const able = RTCRtpReceiver.getCapabilities("video")?.codecs ?? [];
    section.setCodecPreferences(wanted.length > 0 ? ordered(able, wanted) : []);
    done.set(section, wanted.join());
    changes = true;
  }
  return changes;
}
