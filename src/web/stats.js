/**
 * What a connection's statistics say, the same for each browser. Used through lanturn.js.
 *
 * @import { Compared, Flow, Flows, Path, Quality, VideoFlow } from "./lanturn.js"
 * @import { Use } from "./sections.js"
 * @typedef {import("./lanturn.js").Stats} Stats
 * @typedef {{at: number, all: any[], get: (id: string) => any}} Reading
 * @typedef {{places: Map<string, keyof Flows>, quality: Quality, step: number}} Call
 */

import { allowance, audioBitrate, DEFAULT_QUALITY } from "./quality.js";

/** @param {RTCStatsReport} report @returns {Reading} */
export function reading(report) {
  /** @type {Map<string, any>} */
  const entries = new Map();
  report.forEach((entry) => entries.set(entry.id, entry));
  return { at: performance.now(), all: [...entries.values()], get: (id) => entries.get(id) };
}

/** @param {Reading} now @param {Reading | null} [before] @param {Call} [call] @returns {Stats} */
export function summary(now, before = null, call = { places: new Map(), quality: DEFAULT_QUALITY, step: 0 }) {
  const of = (/** @type {string} */ type) => now.all.filter((entry) => entry.type === type);
  const pair = selected(now);
  const rates = pair && before?.get(pair.id) ? { before: before.get(pair.id), seconds: (now.at - before.at) / 1000 } : null;
  const [inbound, outbound, told] = [of("inbound-rtp"), of("outbound-rtp"), of("remote-inbound-rtp")];
  const received = flows(inbound, now, before, call);
  const sent = flows(outbound, now, before, call);
  const pictures = inbound.filter((entry) => entry.kind === "video");
  // A screen that has ended keeps its report.
  const picture = pictures.find(({ mid }) => call.places.get(mid) === "camera") ?? pictures[0] ?? {};
  const shown = outbound.filter((entry) => entry.kind === "video");
  return {
    at: now.at,
    path: pair && path(pair, now),
    bitrateIn: rates && bitrate(pair.bytesReceived, rates.before.bytesReceived, rates.seconds),
    bitrateOut: rates && bitrate(pair.bytesSent, rates.before.bytesSent, rates.seconds),
    roundTripTime: pair?.currentRoundTripTime ?? told.find((entry) => entry.roundTripTime)?.roundTripTime ?? null,
    lossIn: lossSeen(inbound, before),
    lossOut: lossTold(outbound, now, before),
    jitter: inbound.length > 0 ? Math.max(...inbound.map((entry) => entry.jitter ?? 0)) : null,
    limitedBy: sent.camera || sent.screen ? worst(shown.map((entry) => entry.qualityLimitationReason ?? "none")) : null,
    received,
    sent,
    compared: compared(sent, call),
    selectedPair: pair && rawPair(pair, now),
    framesDecoded: picture.framesDecoded ?? 0,
    framesSent: shown[0]?.framesSent ?? shown[0]?.framesEncoded ?? 0,
    frameWidth: picture.frameWidth ?? 0,
    frameHeight: picture.frameHeight ?? 0,
    bytesReceived: pair?.bytesReceived ?? picture.bytesReceived ?? 0,
    bytesSent: pair?.bytesSent ?? shown[0]?.bytesSent ?? 0,
  };
}

/** @param {Reading} now */
function selected({ all, get }) {
  const transport = all.find((entry) => entry.type === "transport" && entry.selectedCandidatePairId);
  if (transport) return get(transport.selectedCandidatePairId) ?? null;
  // Firefox names it so.
  return all.find((entry) => entry.type === "candidate-pair" && entry.selected) ?? null;
}

/** @param {any} pair @param {Reading} now @returns {NonNullable<Stats["selectedPair"]>} */
function rawPair(pair, { get }) {
  const [local, remote] = [get(pair.localCandidateId), get(pair.remoteCandidateId)];
  return {
    localType: local?.candidateType ?? "",
    remoteType: remote?.candidateType ?? "",
    relayProtocol: local?.relayProtocol || null,
    protocol: local?.protocol ?? "",
    roundTripTime: pair.currentRoundTripTime ?? null,
  };
}

/** @param {any} pair @param {Reading} now @returns {Path} */
function path(pair, now) {
  const { localType, remoteType, relayProtocol, protocol } = rawPair(pair, now);
  const [local, remote] = [now.get(pair.localCandidateId), now.get(pair.remoteCandidateId)];
  const ours = localType === "relay";
  return {
    kind: ours || remoteType === "relay" ? "relay" : "direct",
    transport: (ours && relayProtocol) || (protocol === "tcp" ? "tcp" : "udp"),
    relay: ours ? relayAddress(local?.url) : null,
    remote: address(remote),
    local: address(local),
    localType,
    remoteType,
  };
}

/** @param {string | undefined} url such as turn:192.168.1.5:3478?transport=udp */
function relayAddress(url) {
  return url?.match(/^turns?:([^?]*)/)?.[1] ?? null;
}

/** @param {any} candidate */
function address(candidate) {
  const host = candidate?.address ?? candidate?.ip ?? "";
  return host && `${host.includes(":") ? `[${host}]` : host}:${candidate.port}`;
}

/** @param {any[]} streams @param {Reading} now @param {Reading | null} before @param {Call} call @returns {Flows} */
function flows(streams, now, before, { places }) {
  /** @type {Flows} */
  const all = { audio: null, camera: null, screen: null, screenAudio: null };
  for (const entry of streams) {
    const place = places.get(entry.mid) ?? (entry.kind === "audio" ? "audio" : "camera");
    const bytes = (/** @type {any} */ each) => each.bytesSent ?? each.bytesReceived ?? 0;
    const earlier = before?.get(entry.id);
    const seconds = before ? (now.at - before.at) / 1000 : 0;
    // What has ended, or is another section's leftover, has a report that stands still.
    if (earlier && bytes(earlier) === bytes(entry) && all[place]) continue;
    /** @type {Flow} */
    const flow = {
      bitrate: earlier ? bitrate(bytes(entry), bytes(earlier), seconds) : null,
      codec: now.get(entry.codecId)?.mimeType ?? "",
      loss: entry.type === "inbound-rtp" ? lossSeen([entry], before) : lossTold([entry], now, before),
    };
    const { frameWidth: width = 0, frameHeight: height = 0 } = entry;
    const frameRate = Math.round(entry.framesPerSecond ?? framesASecond(entry, earlier, seconds));
    Object.assign(all, { [place]: entry.kind === "audio" ? flow : { ...flow, width, height, frameRate } });
  }
  return all;
}

/** @param {any} entry @param {any} earlier @param {number} seconds */
function framesASecond(entry, earlier, seconds) {
  const frames = (/** @type {any} */ each) => each.framesEncoded ?? each.framesDecoded ?? 0;
  return earlier && seconds > 0 ? (frames(entry) - frames(earlier)) / seconds : 0;
}

/** @param {number} after @param {number} before bytes @param {number} seconds @returns {number | null} bit/s */
function bitrate(after, before, seconds) {
  return seconds > 0 ? Math.max(0, Math.round(((after - before) * 8) / seconds)) : null;
}

/** The share of packets that did not come. @param {any[]} inbound @param {Reading | null} before @returns {number | null} */
function lossSeen(inbound, before) {
  let [came, lost] = [0, 0];
  for (const entry of inbound) {
    const earlier = before?.get(entry.id);
    if (!earlier) continue;
    came += (entry.packetsReceived ?? 0) - (earlier.packetsReceived ?? 0);
    lost += Math.max(0, (entry.packetsLost ?? 0) - (earlier.packetsLost ?? 0));
  }
  return came + lost > 0 ? lost / (came + lost) : null;
}

/**
 * The share of our packets that did not come, as the other side tells about once a second for each stream.
 * @param {any[]} outbound @param {Reading} now @param {Reading | null} before @returns {number | null}
 */
function lossTold(outbound, now, before) {
  let [sent, lost, told] = [0, 0, false];
  for (const entry of outbound) {
    const [report, earlier] = [now.get(entry.remoteId), before?.get(entry.remoteId)];
    const own = before?.get(entry.id);
    if (!report || !earlier || !own) continue;
    told = true;
    sent += (entry.packetsSent ?? 0) - (own.packetsSent ?? 0);
    lost += Math.max(0, (report.packetsLost ?? 0) - (earlier.packetsLost ?? 0));
  }
  return told && sent > 0 ? Math.min(1, lost / sent) : null;
}

/** @param {string[]} reasons @returns {Stats["limitedBy"]} */
function worst(reasons) {
  return /** @type {const} */ (["cpu", "bandwidth", "other"]).find((each) => reasons.includes(each)) ?? "none";
}

/** @param {Flows} sent @param {Call} call @returns {Compared[]} */
function compared(sent, { quality, step }) {
  /** @type {Compared[]} */
  const rows = [];
  for (const of of /** @type {Use[]} */ (["camera", "screen"])) {
    const flow = sent[of];
    if (flow) rows.push(...videoRows(of, flow, quality, step));
  }
  const limit = audioBitrate(quality.audio);
  const bitrate = sent.audio?.bitrate ?? 0;
  if (sent.audio) rows.push({ of: "audio", what: "maxBitrate", asked: limit, allowed: limit, sent: bitrate });
  return rows;
}

/** @param {Use} of @param {VideoFlow} flow @param {Quality} quality @param {number} step @returns {Compared[]} */
function videoRows(of, flow, quality, step) {
  const settings = quality[of];
  const { maxBitrate, frameRate, scale } = allowance(settings, step);
  const smaller = (/** @type {number | undefined} */ size) => size && Math.round(size / scale);
  const codec = settings.codecs?.[0];
  return [
    { of, what: "width", asked: settings.width, allowed: smaller(settings.width), sent: flow.width },
    { of, what: "height", asked: settings.height, allowed: smaller(settings.height), sent: flow.height },
    { of, what: "frameRate", asked: settings.frameRate, allowed: frameRate, sent: flow.frameRate },
    { of, what: "maxBitrate", asked: settings.maxBitrate, allowed: maxBitrate, sent: flow.bitrate ?? 0 },
    { of, what: "codec", asked: codec, allowed: codec, sent: flow.codec },
  ];
}
