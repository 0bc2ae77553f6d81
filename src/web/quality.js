/**
 * What quality means in numbers: the presets, what is asked of a device, and what is left of it for each one who is sent
 * to. Nothing in here touches a device or a connection. Used through lanturn.js.
 *
 * @import { AudioSettings, Preset, Quality, QualityChange, VideoSettings } from "./lanturn.js"
 * @typedef {{maxBitrate?: number, frameRate?: number, scale: number}} Allowance scale: by how much the
 *   picture is made smaller
 */

const FRUGAL = { degradationPreference: "balanced", contentHint: "" };
const STILL = { degradationPreference: "maintain-resolution" };
const LIVELY = { degradationPreference: "maintain-framerate", contentHint: "motion" };

/** @type {Readonly<Record<Preset, Readonly<VideoSettings>>>} */
export const presets = /** @type {any} */ (Object.freeze({
  saver: Object.freeze({ width: 640, height: 360, frameRate: 15, maxBitrate: 250_000, ...FRUGAL }),
  balanced: Object.freeze({ width: 1280, height: 720, frameRate: 30, maxBitrate: 1_500_000, ...FRUGAL }),
  sharp: Object.freeze({ width: 1920, height: 1080, frameRate: 30, maxBitrate: 4_000_000, contentHint: "detail", ...STILL }),
  smooth: Object.freeze({ width: 1920, height: 1080, frameRate: 60, maxBitrate: 6_000_000, ...LIVELY }),
  text: Object.freeze({ width: 2560, height: 1440, frameRate: 8, maxBitrate: 2_500_000, contentHint: "text", ...STILL }),
  motion: Object.freeze({ width: 1920, height: 1080, frameRate: 30, maxBitrate: 5_000_000, ...LIVELY }),
}));

/** Where everybody starts. @type {Quality} */
export const DEFAULT_QUALITY = {
  camera: { ...presets.balanced },
  screen: { ...presets.text },
  audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, fec: true, dtx: false, music: false },
};

/** What each number may be, ends included. @type {Record<string, [number, number]>} */
const RANGES = {
  width: [16, 7680],
  height: [16, 4320],
  frameRate: [1, 120],
  maxBitrate: [30_000, 50_000_000],
};
/** RFC 6716 section 2.1.1. @type {[number, number]} */
const AUDIO_BITRATE = [6_000, 510_000];
/** @type {Record<string, string[]>} */
const CHOICES = {
  degradationPreference: ["balanced", "maintain-framerate", "maintain-resolution"],
  contentHint: ["", "motion", "detail", "text"],
};
const MUSIC_BITRATE = 192_000;

/** How far there is to step down. */
export const LAST_STEP = 4;
/** What is left of the bitrate at each step, how much smaller the picture is, and the most frames a second. */
const STEPS = [
  { bitrate: 1, scale: 1, frames: Infinity },
  { bitrate: 0.6, scale: 1.5, frames: Infinity },
  { bitrate: 0.35, scale: 2, frames: 20 },
  { bitrate: 0.2, scale: 3, frames: 15 },
  { bitrate: 0.1, scale: 4, frames: 8 },
];
/** What a picture needs when nobody has said: bits for each pixel of each frame. */
const BITS_A_PIXEL = 0.05;
const LEAST_BITRATE = 30_000;

/** @param {Quality} quality @param {QualityChange} change @returns {Quality} another; throws a RangeError */
export function changed(quality, change) {
  return {
    camera: video(quality.camera, change.camera),
    screen: video(quality.screen, change.screen),
    audio: checkedAudio({ ...quality.audio, ...change.audio }),
  };
}

/** @param {VideoSettings} before @param {Preset | VideoSettings} [change] @returns {VideoSettings} */
function video(before, change) {
  if (typeof change === "string") {
    const preset = Object.hasOwn(presets, change) ? presets[change] : undefined;
    if (!preset) throw new RangeError(`There is no preset "${change}": take one of ${Object.keys(presets).join(", ")}.`);
    return { ...preset, codecs: before.codecs };
  }
  const after = { ...before, ...change };
  for (const [name, range] of Object.entries(RANGES)) inRange(name, /** @type {any} */ (after)[name], range);
  for (const [name, choices] of Object.entries(CHOICES)) {
    const value = /** @type {any} */ (after)[name];
    if (value === undefined || choices.includes(value)) continue;
    throw new RangeError(`${name} can't be "${value}": take one of ${choices.map((each) => `"${each}"`).join(", ")}.`);
  }
  const { codecs } = after;
  if (codecs !== undefined && !(Array.isArray(codecs) && codecs.every((each) => /^video\/\S+$/i.test(each)))) {
    throw new RangeError('codecs is a list of MIME types, such as "video/VP9".');
  }
  return after;
}

/** @param {AudioSettings} settings @returns {AudioSettings} */
function checkedAudio(settings) {
  inRange("maxBitrate", settings.maxBitrate, AUDIO_BITRATE);
  for (const [name, value] of Object.entries(settings)) {
    if (name !== "maxBitrate" && typeof value !== "boolean") throw new RangeError(`${name} is true or false.`);
  }
  return settings;
}

/** @param {string} name @param {unknown} value @param {[number, number]} range */
function inRange(name, value, [least, most]) {
  if (value === undefined || (typeof value === "number" && value >= least && value <= most)) return;
  throw new RangeError(`${name} can't be ${value}: it is a number from ${least} to ${most}.`);
}

/** What is asked of a camera or screen: wishes, so that any device will do. @param {VideoSettings} settings */
export function videoConstraints({ width, height, frameRate }) {
  /** @type {MediaTrackConstraints} */
  const constraints = {};
  for (const [name, value] of Object.entries({ width, height, frameRate })) {
    if (value !== undefined) Object.assign(constraints, { [name]: { ideal: value } });
  }
  return constraints;
}

/** @param {AudioSettings} settings @returns {MediaTrackConstraints} */
export function audioConstraints({ echoCancellation, noiseSuppression, autoGainControl, music }) {
  if (!music) return { echoCancellation, noiseSuppression, autoGainControl };
  const unfiltered = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  return { ...unfiltered, channelCount: { ideal: 2 } };
}

/** @param {AudioSettings} settings @returns {number | undefined} bit/s */
export function audioBitrate({ music, maxBitrate }) {
  return maxBitrate ?? (music ? MUSIC_BITRATE : undefined);
}

/**
 * What is left of the settings at a step. A picture that is to stay sharp loses frames first.
 * @param {VideoSettings} settings @param {number} step 0 to {@link LAST_STEP}
 * @returns {Allowance}
 */
export function allowance(settings, step) {
  const { bitrate, scale, frames } = STEPS[step];
  const { maxBitrate = step === 0 ? undefined : needed(settings), frameRate } = settings;
  const sharp = settings.degradationPreference === "maintain-resolution";
  const fewest = sharp && step > 0 ? Math.min(frames, Math.ceil((frameRate ?? 30) / (step + 1))) : frames;
  const most = Math.min(frameRate ?? Infinity, fewest);
  return {
    maxBitrate: maxBitrate && Math.max(LEAST_BITRATE, Math.round(maxBitrate * bitrate)),
    frameRate: Number.isFinite(most) ? most : undefined,
    scale: sharp ? Math.max(1, scale / 2) : scale,
  };
}

/** @param {VideoSettings} settings @returns {number} bit/s */
function needed({ width = 1280, height = 720, frameRate = 30 }) {
  return width * height * frameRate * BITS_A_PIXEL;
}

/** The least step for so many who are each sent a picture of their own. @param {number} peers @returns {number} */
export function crowdStep(peers) {
  if (peers <= 2) return 0;
  return peers <= 4 ? 1 : peers <= 6 ? 2 : 3;
}

/**
 * By how much a picture is made smaller, so that it is not larger than was asked whatever the device gives.
 * @param {VideoSettings} settings @param {{width?: number, height?: number}} given @param {number} scale of the step
 */
export function scaleDown({ width = Infinity, height = Infinity }, given, scale) {
  // A phone that is held upright gives a picture that is higher than wide.
  const [long, short] = [Math.max(given.width ?? 0, given.height ?? 0), Math.min(given.width ?? 0, given.height ?? 0)];
  return Math.max(1, long / Math.max(width, height), short / Math.min(width, height)) * scale;
}

/**
 * Codecs as `setCodecPreferences` takes them: those that are named first, and the rest as they were.
 * @template {{mimeType: string}} T @param {T[]} able @param {string[]} wanted @returns {T[]}
 */
export function ordered(able, wanted) {
  const names = wanted.map((each) => each.toLowerCase());
  const rank = (/** @type {T} */ { mimeType }) => {
    const at = names.indexOf(mimeType.toLowerCase());
    return at < 0 ? names.length : at;
  };
  return [...able].sort((a, b) => rank(a) - rank(b));
}

/** Not codecs of their own, but what protects or fills in for others. */
const HELPERS = /\/(rtx|red|ulpfec|flexfec-03|telephone-event|cn)$/i;

/** @param {{mimeType: string}[]} able @returns {string[]} */
export function codecNames(able) {
  return [...new Set(able.map(({ mimeType }) => mimeType))].filter((name) => !HELPERS.test(name));
}
