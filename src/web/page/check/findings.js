/** What was found, as words for people: what is so, and what to do where something fails. */

/** @import { Begun, Sighting } from "./box.js" */
/** @import { Mapping, Nat, Walk } from "./relay.js" */
/** @import { Word } from "./words.js" */
/** @typedef {Record<string, string | number>} Facts */
/** @typedef {"ok" | "failed" | "unknown" | "busy"} State */
/** @typedef {{id: string, state: State, text: [Word, Facts?], next?: [Word, Facts?], href?: string}} Finding */
/** @typedef {{begun: Begun | null, beginError: string, socket: boolean, walks: Walk[], mapped: Mapping | null, sightings: Sighting[] | null}} Facets */

/** More seconds than that between two clocks make certificates and credentials fail. */
const MAX_SKEW = 120;
/** What the box calls the reasons that we have words for. @type {Record<string, [Word, Word]>} */
const REASONS = {
  expired: ["reasonExpired", "nextExpired"],
  quota: ["reasonQuota", "nextQuota"],
  "no-capacity": ["reasonCapacity", "nextCapacity"],
  "wrong-credential": ["reasonCredential", "nextCredential"],
  "wrong-realm": ["reasonCredential", "nextCredential"],
};
const BY_CODE = /** @type {Record<number, string>} */ ({ 401: "wrong-credential", 486: "quota", 508: "no-capacity" });

/** @returns {Finding} */
export function secure() {
  if (isSecureContext) return { id: "secure", state: "ok", text: ["secureOk"] };
  return { id: "secure", state: "failed", text: ["secureFailed"], next: ["secureNext"], href: `https://${location.host}/check` };
}

/** @param {Begun | null} begun @param {string} error @returns {Finding} */
export function box(begun, error) {
  if (begun) return { id: "box", state: "ok", text: begun.from ? ["boxOk", { from: begun.from }] : ["boxOkHidden"] };
  return { id: "box", state: "failed", text: ["boxFailed", { error }], next: [isSecureContext ? "boxNext" : "secureNext"] };
}

/** @param {Begun | null} begun @returns {Finding} */
export function clock(begun) {
  if (!begun) return { id: "clock", state: "unknown", text: ["notTried"] };
  const skew = Math.abs(begun.ahead);
  if (skew <= MAX_SKEW) return { id: "clock", state: "ok", text: ["clockOk", { seconds: skew }] };
  const text = begun.ahead > 0 ? "clockAhead" : "clockBehind";
  return { id: "clock", state: "failed", text: [text, { seconds: skew }], next: ["clockNext"] };
}

/** @param {boolean} opens @returns {Finding} */
export function socket(opens) {
  if (opens) return { id: "socket", state: "ok", text: ["socketOk"] };
  return { id: "socket", state: "failed", text: ["socketFailed"], next: [isSecureContext ? "socketNext" : "secureNext"] };
}

/** One transport, from both ends. @param {Walk} walk @param {Facets} facets @returns {Finding} */
export function transport(walk, { walks, sightings }) {
  const id = walk.transport;
  const name = id.toUpperCase();
  if (isThrough(walk)) {
    return { id, state: "ok", text: ["relayOk", { name, time: walk.roundTrip.toFixed(1), relayed: walk.relayed }] };
  }
  const failed = (/** @type {[Word, Facts?]} */ text, /** @type {[Word, Facts?]} */ next) => /** @type {Finding} */ ({ id, state: "failed", text, next });
  if (!walk.isTaken) {
    return id === "tls" ? failed(["tlsUntaken"], ["tlsUntakenNext"]) : failed(["untaken", { name }], ["untakenNext"]);
  }
  const seen = (sightings ?? []).filter((each) => each.transport === id);
  const refused = seen.findLast((each) => each.outcome === "refused" && each.code !== 438);
  const rule = refused?.reason === "rule" ? refused.rule : undefined;
  if (rule) return failed(["reasonRule", { name, rule }], ["nextRule"]);
  const why = REASONS[refused?.reason ?? BY_CODE[walk.refusal] ?? ""];
  if (why) return failed([why[0], { name }], [why[1]]);
  if (refused || walk.refusal) return failed(["refused", { name, code: refused?.code ?? walk.refusal }], ["refusedNext"]);
  if (walk.relayed) return failed(["noPacket", { name, relayed: walk.relayed }], ["noPacketNext"]);
  if (seen.length > 0) return failed(["noAnswer", { name, from: seen[0].from }], ["noAnswerNext"]);
  const works = walks.filter(isThrough);
  const port = location.port || "443";
  if (id === "udp") return failed([works.length > 0 ? "udpBlocked" : "udpSilent", { port }], ["udpNext", { port }]);
  if (id === "tls" && works.some((each) => each.transport === "tcp")) return { ...failed(["tlsFailed"], ["certificateNext"]), href: "/trust" };
  return failed(["streamBlocked", { name, port }], ["streamNext", { port }]);
}

/** What a page can tell of the certificate: little, until the relay is asked over TLS. @param {Walk[]} walks @returns {Finding} */
export function certificate(walks) {
  const works = (/** @type {string} */ transport) => walks.some((each) => each.transport === transport && isThrough(each));
  if (works("tls")) return { id: "certificate", state: "ok", text: ["certificateOk"] };
  if (location.protocol === "https:" && works("tcp")) {
    return { id: "certificate", state: "unknown", text: ["certificateDoubt"], next: ["certificateNext"], href: "/trust" };
  }
  return { id: "certificate", state: "unknown", text: ["certificateUnknown"] };
}

/** The address that others see. @param {Facets} facets @returns {Finding} */
export function address({ mapped, sightings }) {
  const seen = (sightings ?? []).find((each) => each.transport === "udp");
  const found = mapped?.address || seen?.from;
  return { id: "address", ...(found ? { state: "ok", text: ["addressOk", { address: found }] } : { state: "unknown", text: ["addressUnknown"] }) };
}

/** What the router makes of it: between two of the kind that changes, no call is direct. @param {Mapping | null} mapped @returns {Finding} */
export function nat(mapped) {
  /** @type {Record<Nat, Word>} */
  const words = { same: "natSame", changes: "natChanges", single: "natSingle", unknown: "natUnknown" };
  const kind = mapped?.nat ?? "unknown";
  return { id: "nat", state: kind === "same" || kind === "changes" ? "ok" : "unknown", text: [words[kind]] };
}

/** Whether a call would come about, and why not. @param {Facets} facets @returns {{state: "ok" | "failed", text: [Word, Facts?]}} */
export function verdict({ begun, socket, walks }) {
  const open = walks.filter(isThrough).map((each) => each.transport.toUpperCase());
  const shut = walks.filter((each) => !isThrough(each)).map((each) => each.transport.toUpperCase());
  if (!isSecureContext) return { state: "failed", text: ["verdictInsecure"] };
  if (!begun || !socket) return { state: "failed", text: ["verdictBox"] };
  if (open.length === 0) return { state: "failed", text: ["verdictNothing"] };
  if (shut.length > 0) return { state: "ok", text: ["verdictSome", { open: open.join(", "), shut: shut.join(", ") }] };
  return { state: "ok", text: ["verdictAll"] };
}

/** @param {Walk} walk */
export const isThrough = (walk) => !Number.isNaN(walk.roundTrip);
