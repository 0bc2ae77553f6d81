/** Through the relay: two connections in this page that meet there and nowhere else. */

import { onlyTransport } from "../../ways.js";

/** @import { RelayTransport } from "../../lanturn.js" */
/** @typedef {{transport: RelayTransport, relayed: string, roundTrip: number, errors: string[], refusal: number, isTaken: boolean}} Walk */

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

/** The address that the box sees over UDP, "" if the browser does not say. @param {RTCIceServer[]} servers @returns {Promise<string>} */
export async function mapped(servers) {
  const iceServers = servers.map(({ urls }) => ({ urls: [urls].flat().filter((url) => url.startsWith("stun:")) })).filter(({ urls }) => urls.length > 0);
  const connection = new RTCPeerConnection({ iceServers });
  try {
    connection.createDataChannel("check");
    const found = new Promise((/** @type {(address: string) => void} */ resolve) => {
      connection.addEventListener("icecandidate", ({ candidate }) => {
        if (candidate === null) resolve("");
        else if (candidate.type === "srflx") resolve(`${candidate.address}:${candidate.port}`);
      });
      setTimeout(() => resolve(""), SRFLX_MS);
    });
    await connection.setLocalDescription();
    return await found;
  } finally {
    connection.close();
  }
}
