/**
 * What a connection's statistics say, the same for each browser. Used through lanturn.js.
 *
 * @typedef {"udp" | "tcp" | "tls"} RelayTransport
 *
 * @typedef {object} Stats
 * @property {{localType: string, remoteType: string, relayProtocol: RelayTransport | null, protocol: string,
 *   roundTripTime: number | null} | null} selectedPair roundTripTime in seconds
 * @property {number} framesDecoded
 * @property {number} framesSent
 * @property {number} frameWidth
 * @property {number} frameHeight
 * @property {number} bytesReceived
 * @property {number} bytesSent
 */

/** @param {RTCStatsReport} report @returns {Stats} @internal */
export function summary(report) {
  /** @type {any[]} */
  const all = [];
  report.forEach((entry) => all.push(entry));
  const video = all.filter((entry) => entry.kind === "video");
  const inbound = video.find((entry) => entry.type === "inbound-rtp") ?? {};
  const outbound = video.find((entry) => entry.type === "outbound-rtp") ?? {};
  const chosen = all.find((entry) => entry.type === "transport" && entry.selectedCandidatePairId);
  const pairs = all.filter((entry) => entry.type === "candidate-pair");
  const pair = chosen ? report.get(chosen.selectedCandidatePairId) : pairs.find((each) => each.selected);
  const local = pair && report.get(pair.localCandidateId);
  const remote = pair && report.get(pair.remoteCandidateId);
  return {
    selectedPair: pair && {
      localType: local?.candidateType ?? "",
      remoteType: remote?.candidateType ?? "",
      relayProtocol: local?.relayProtocol || null,
      protocol: local?.protocol ?? "",
      roundTripTime: pair.currentRoundTripTime ?? null,
    } || null,
    framesDecoded: inbound.framesDecoded ?? 0,
    framesSent: outbound.framesSent ?? outbound.framesEncoded ?? 0,
    frameWidth: inbound.frameWidth ?? 0,
    frameHeight: inbound.frameHeight ?? 0,
    bytesReceived: pair?.bytesReceived ?? inbound.bytesReceived ?? 0,
    bytesSent: pair?.bytesSent ?? outbound.bytesSent ?? 0,
  };
}
