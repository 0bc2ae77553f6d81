/** Through the relay: two connections in this page that meet there and nowhere else. */

import { onlyTransport } from "../../ways.js";

/** @import { RelayTransport } from "../../lanturn.js" */
/** @typedef {{transport: RelayTransport, relayed: string, roundTrip: number, errors: string[], refusal: number, isTaken: boolean}} Walk */
/** @typedef {"same" | "changes" | "single" | "unknown"} Nat */
/** @typedef {{address: string, nat: Nat}} Mapping */

const PATIENCE_MS = 12_000;
const SRFLX_MS = 3_000;
const WORD = "through";

/**
 * Tries one transport. `relayed`: the relayed address, "" without one. `roundTrip`: ms, NaN if nothing came back.
 * `errors`: what the browser says of candidates that failed, `refusal`: the code that the box refused with, or 0.
 * `isTaken`: whether the browser takes such a server at all.
 * @param {RTCIceServer[]} servers @param {RelayTransport} transport @returns {Promise<Walk>}
 */
export async function walk(servers, transport) {
  /** @type {Walk} */
  const walk = { transport, relayed: "", roundTrip: NaN, errors: [], refusal: 0, isTaken: false };
  /** @type {RTCPeerConnection[]} */
  const pair = [];
  try {
    const iceServers = onlyTransport(servers, transport);
    for (let i = 0; i < 2; i++) pair.push(new RTCPeerConnection({ iceServers, iceTransportPolicy: "relay" }));
    walk.isTaken = iceServers.length > 0;
    if (walk.isTaken) await meet(walk, pair[0], pair[1]);
  } catch (error) {
    walk.errors.push(String(error.message));
  } finally {
    for (const each of pair) each.close();
  }
  return walk;
}

/** @param {Walk} walk @param {RTCPeerConnection} one @param {RTCPeerConnection} other */
async function meet(walk, one, other) {
  const channel = one.createDataChannel("check");
  other.addEventListener("datachannel", ({ channel: far }) => far.addEventListener("message", ({ data }) => far.send(data)));
  const came = new Promise((/** @type {(at?: number) => void} */ resolve) => {
    const start = { at: 0 };
    channel.addEventListener("open", () => {
      start.at = performance.now();
      channel.send(WORD);
    });
    channel.addEventListener("message", ({ data }) => data === WORD && resolve(performance.now() - start.at));
    setTimeout(resolve, PATIENCE_MS);
    // Nothing more can come once both have looked everywhere in vain, or have given up.
    const look = () => {
      const isVain = [one, other].every((each) => each.iceGatheringState === "complete") && walk.relayed === "";
      if (isVain || one.connectionState === "failed" || other.connectionState === "failed") resolve();
    };
    for (const each of [one, other]) {
      each.addEventListener("icegatheringstatechange", look);
      each.addEventListener("connectionstatechange", look);
    }
  });
  const agreed = agree(one, other);
  follow(walk, one, other, agreed);
  follow(walk, other, one, agreed);
  await agreed;
  walk.roundTrip = (await came) ?? NaN;
}

/** @param {RTCPeerConnection} one @param {RTCPeerConnection} other */
async function agree(one, other) {
  const offer = await one.createOffer();
  await other.setRemoteDescription(offer);
  const answer = await other.createAnswer();
  await one.setLocalDescription(offer);
  await other.setLocalDescription(answer);
  await one.setRemoteDescription(answer);
}

/** Hands the candidates of one to the other. @param {Walk} walk @param {RTCPeerConnection} from @param {RTCPeerConnection} to @param {Promise<void>} agreed */
function follow(walk, from, to, agreed) {
  from.addEventListener("icecandidate", ({ candidate }) => {
    if (!candidate?.candidate) return;
    if (candidate.type === "relay") walk.relayed = `${candidate.address}:${candidate.port}`;
    agreed.then(() => to.addIceCandidate(candidate)).catch((error) => walk.errors.push(String(error.message)));
  });
  from.addEventListener("icecandidateerror", ({ errorCode, errorText }) => {
    const text = `${errorCode} ${errorText}`.trim();
    if (!walk.errors.includes(text)) walk.errors.push(text);
    // From 300 to 699 it is the box that speaks (RFC 8489 section 14.8); 701 is the browser.
    if (errorCode >= 300 && errorCode < 700) walk.refusal = errorCode;
  });
}

/**
 * The address that the box sees over UDP, "" if the browser does not say, and whether another destination sees another.
 * @param {RTCIceServer[]} servers @returns {Promise<Mapping>}
 */
export async function mapped(servers) {
  const urls = new Set(servers.flatMap((server) => server.urls).filter((url) => url.startsWith("stun:")));
  const connection = new RTCPeerConnection({ iceServers: [...urls].map((url) => ({ urls: url })) });
  /** @type {RTCIceCandidate[]} */
  const candidates = [];
  let failures = 0;
  try {
    connection.createDataChannel("check");
    const gathered = new Promise((/** @type {(all: boolean) => void} */ resolve) => {
      connection.addEventListener("icecandidate", ({ candidate }) => {
        if (candidate === null) resolve(true);
        else if (candidate.type === "srflx") candidates.push(candidate);
      });
      connection.addEventListener("icecandidateerror", () => (failures += 1));
      setTimeout(() => resolve(false), SRFLX_MS);
    });
    await connection.setLocalDescription();
    const all = await gathered;
    const [first] = candidates;
    return { address: first ? `${first.address}:${first.port}` : "", nat: natOf(candidates, urls.size, all && failures === 0) };
  } finally {
    connection.close();
  }
}

/**
 * What a NAT makes of one socket that speaks to several (RFC 4787 section 4.1).
 * @param {Pick<RTCIceCandidate, "address" | "port" | "relatedAddress" | "relatedPort">[]} candidates as others see us
 * @param {number} destinations that were asked @param {boolean} all whether each of them answered
 * @returns {Nat}
 */
export function natOf(candidates, destinations, all) {
  if (destinations < 2) return "single";
  /** By the socket. @type {Map<string, Set<string>>} */
  const seen = new Map();
  for (const { address, port, relatedAddress, relatedPort } of candidates) {
    // A browser that hides its own address still says of which family it is.
    const socket = `${relatedAddress} ${relatedPort} ${address?.includes(":")}`;
    seen.set(socket, (seen.get(socket) ?? new Set()).add(`${address} ${port}`));
  }
  if ([...seen.values()].some(({ size }) => size > 1)) return "changes";
  return all && candidates.length > 0 ? "same" : "unknown";
}
