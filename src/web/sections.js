/**
 * Which section of a call carries what. The first audio and the first video section are the microphone and the camera,
 * the second of each are the screen and its sound, both ways. Sections stand in the order of the descriptions, which is
 * the same on both sides, so nobody has to be told. Used through lanturn.js.
 *
 * @import { Flows, Kind } from "./lanturn.js"
 * @typedef {"camera" | "screen"} Use
 * @typedef {{camera: MediaStream | null, screen: MediaStream | null}} Outgoing
 */

/** @type {("audio" | "video")[]} */
export const KINDS = ["audio", "video"];
/** By their place among the sections of a kind. @type {Use[]} */
export const USES = ["camera", "screen"];
/** Directions, as seen from here, in which something comes. */
const RECEIVING = ["sendrecv", "recvonly"];

/**
 * The sections of a kind, in order; then those that no description has yet.
 * @param {RTCPeerConnection} pc @param {string} kind @returns {RTCRtpTransceiver[]}
 */
export function sectionsOf(pc, kind) {
  const texts = [pc.localDescription?.sdp ?? "", pc.remoteDescription?.sdp ?? ""];
  const [long, short] = texts.map((sdp) => [...sdp.matchAll(/^a=mid:(\S+)/gm)].map((match) => match[1]));
  const order = long.length > short.length ? long : short;
  const place = (/** @type {RTCRtpTransceiver} */ { mid }) => (mid === null ? order.length : order.indexOf(mid));
  const live = (/** @type {RTCRtpTransceiver} */ each) => ![each.direction, each.currentDirection].includes("stopped");
  return pc
    .getTransceivers()
    .filter((each) => each.receiver.track.kind === kind && live(each))
    .sort((a, b) => place(a) - place(b));
}

/** @param {Outgoing} outgoing @param {Use} use @param {string} kind @returns {MediaStreamTrack | null} */
export function trackOf(outgoing, use, kind) {
  const tracks = outgoing[use]?.getTracks() ?? [];
  return tracks.find((each) => each.kind === kind && each.readyState === "live") ?? null;
}

/**
 * Puts our tracks into the sections, and makes sections for a screen when there is one to send; a changed direction asks
 * for a new offer by itself.
 * @param {RTCPeerConnection} pc @param {Outgoing} outgoing
 */
export async function fill(pc, outgoing) {
  for (const kind of KINDS) {
    const tracks = USES.map((use) => trackOf(outgoing, use, kind));
    let sections = sectionsOf(pc, kind);
    // Who came first of another make may have offered no section for a camera: then none is sent, as it is not awaited.
    while (tracks[1] && sections.length < USES.length) {
      pc.addTransceiver(kind, { direction: "recvonly" });
      sections = sectionsOf(pc, kind);
    }
    for (const [i, section] of sections.entries()) {
      // Both have made one for a screen, and theirs came first.
      if (i >= USES.length && section.mid === null) section.stop();
      else if (i < USES.length) await send(section, tracks[i]);
    }
  }
}

/** @param {RTCRtpTransceiver} section @param {MediaStreamTrack | null} track */
async function send(section, track) {
  if (section.sender.track !== track) await section.sender.replaceTrack(track);
  section.direction = track ? "sendrecv" : "recvonly";
}

/** What they send in each use. @param {RTCPeerConnection} pc @returns {Record<Use, MediaStreamTrack[]>} */
export function heard(pc) {
  /** @type {Record<Use, MediaStreamTrack[]>} */
  const tracks = { camera: [], screen: [] };
  for (const kind of KINDS) {
    for (const [i, { currentDirection, receiver }] of sectionsOf(pc, kind).entries()) {
      if (!RECEIVING.includes(currentDirection ?? "")) continue;
      tracks[i === 0 ? "camera" : "screen"].push(receiver.track);
    }
  }
  return tracks;
}

/** The `mid`s of the sections in which they send something. @param {RTCPeerConnection} pc @param {Record<Kind, boolean>} muted @returns {string[]} */
export function awaited(pc, muted) {
  const sends = pc.getTransceivers().filter(({ currentDirection, receiver }) =>
    RECEIVING.includes(currentDirection ?? "") && !muted[/** @type {Kind} */ (receiver.track.kind)]);
  return sends.flatMap(({ mid }) => mid ?? []);
}

/** What the sections carry, by their `mid`, in the words of the statistics. @param {RTCPeerConnection} pc */
export function places(pc) {
  /** @type {Map<string, keyof Flows>} */
  const all = new Map();
  for (const { kind, names } of /** @type {const} */ ([
    { kind: "audio", names: ["audio", "screenAudio"] },
    { kind: "video", names: ["camera", "screen"] },
  ])) {
    for (const [i, { mid }] of sectionsOf(pc, kind).entries()) if (mid !== null) all.set(mid, names[Math.min(i, 1)]);
  }
  return all;
}
