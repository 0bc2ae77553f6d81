/** What the page /check makes of what it found: each outcome has its words, and what to do about it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { address, box, certificate, clock, nat, secure, socket, transport, verdict } from "../../src/web/page/check/findings.js";
import { natOf } from "../../src/web/page/check/relay.js";
import { languages } from "../../src/web/page/i18n.js";
import { words } from "../../src/web/page/check/words.js";

/** @import { Sighting } from "../../src/web/page/check/box.js" */
/** @import { Facets, Finding } from "../../src/web/page/check/findings.js" */
/** @import { Walk } from "../../src/web/page/check/relay.js" */

Object.assign(globalThis, { isSecureContext: true, location: new URL("https://box.local:3478/check") });

/** @param {Partial<Walk>} [facts] @returns {Walk} */
const walk = (facts) => ({ transport: "udp", relayed: "", roundTrip: NaN, errors: [], refusal: 0, isTaken: true, ...facts });
/** @param {Partial<Sighting>} facts @returns {Sighting} */
const sighting = (facts) => ({ transport: "udp", from: "10.0.0.2:5000", method: "allocate", outcome: "answered", count: 1, ...facts });
/** @param {Partial<Facets>} [facts] @returns {Facets} */
const facets = (facts) => ({ begun: null, beginError: "", socket: true, walks: [], mapped: null, sightings: [], ...facts });
const through = (/** @type {Walk["transport"]} */ over) => walk({ transport: over, relayed: "10.0.0.1:50000", roundTrip: 2.34 });
const refused = (/** @type {Partial<Sighting>} */ facts) => [sighting({ outcome: "refused", ...facts })];

/** Words that are there, and whose every place is filled in. @param {[string, object?]} said */
function isSaid([key, facts = {}]) {
  for (const [code, all] of Object.entries(words)) {
    const text = /** @type {Record<string, string>} */ (all)[key] ?? "";
    assert.notEqual(text, "", `${code}: ${key}`);
    for (const [, place] of text.matchAll(/\{(\w+)\}/g)) assert.ok(Object.hasOwn(facts, place), `${code}: ${key} has no ${place}`);
  }
}

/** @param {Finding} finding @param {string} state @param {string} text @param {string} [next] */
function says(finding, state, text, next) {
  assert.deepEqual([finding.state, finding.text[0], finding.next?.[0]], [state, text, next]);
  isSaid(finding.text);
  if (finding.next) isSaid(finding.next);
  assert.ok(Object.hasOwn(languages.en, `row_${finding.id}`), `${finding.id} has a heading`);
}

/** What was seen from both ends, and what it means. @type {[string, Walk, Partial<Facets>, string, string?][]} */
const OUTCOMES = [
  ["all is well", through("udp"), {}, "relayOk"],
  ["the box told of no such relay", walk({ isTaken: false }), {}, "untaken", "untakenNext"],
  ["a browser that takes no address over TLS", walk({ transport: "tls", isTaken: false }), {}, "tlsUntaken", "tlsUntakenNext"],
  ["a rule", walk(), { sightings: refused({ code: 403, reason: "rule", rule: "10.0.0.0/8" }) }, "reasonRule", "nextRule"],
  ["the credential has expired", walk(), { sightings: refused({ code: 401, reason: "expired" }) }, "reasonExpired", "nextExpired"],
  ["a wrong credential", walk(), { sightings: refused({ code: 401, reason: "wrong-credential" }) }, "reasonCredential", "nextCredential"],
  ["a wrong realm", walk(), { sightings: refused({ code: 401, reason: "wrong-realm" }) }, "reasonCredential", "nextCredential"],
  ["too many", walk(), { sightings: refused({ code: 486, reason: "quota" }) }, "reasonQuota", "nextQuota"],
  ["no port", walk(), { sightings: refused({ code: 508, reason: "no-capacity" }) }, "reasonCapacity", "nextCapacity"],
  ["a code that only the browser tells", walk({ refusal: 486 }), { sightings: null }, "reasonQuota", "nextQuota"],
  ["a code without words of its own", walk(), { sightings: refused({ code: 437 }) }, "refused", "refusedNext"],
  ["a nonce that ended, and then silence", walk(), { sightings: refused({ code: 438 }) }, "noAnswer", "noAnswerNext"],
  ["the box relays, and no packet comes", walk({ relayed: "10.0.0.1:50000" }), { sightings: [sighting({})] }, "noPacket", "noPacketNext"],
  ["the box was asked, and its answers are lost", walk(), { sightings: [sighting({})] }, "noAnswer", "noAnswerNext"],
  ["what was seen over another transport does not count", walk(), { sightings: [sighting({ transport: "tcp" })] }, "udpSilent", "udpNext"],
  ["UDP alone is blocked", walk(), { walks: [through("tcp")] }, "udpBlocked", "udpNext"],
  ["nothing gets through, UDP", walk(), {}, "udpSilent", "udpNext"],
  ["nothing gets through, TCP", walk({ transport: "tcp" }), {}, "streamBlocked", "streamNext"],
  ["TLS fails where TCP does not", walk({ transport: "tls" }), { walks: [through("tcp")] }, "tlsFailed", "certificateNext"],
  ["nothing gets through, TLS", walk({ transport: "tls" }), {}, "streamBlocked", "streamNext"],
];

for (const [what, found, facts, text, next] of OUTCOMES) {
  test(`a transport: ${what}`, () => says(transport(found, facets(facts)), next ? "failed" : "ok", text, next));
}

test("a failure of TLS leads to where the certificate is trusted", () => {
  assert.equal(transport(walk({ transport: "tls" }), facets({ walks: [through("tcp")] })).href, "/trust");
});

test("clocks may differ by two minutes, either way", () => {
  const at = (/** @type {number} */ ahead) => clock({ id: "1", from: null, ahead, iceServers: [] });
  for (const ahead of [0, 120, -120]) says(at(ahead), "ok", "clockOk");
  says(at(121), "failed", "clockAhead", "clockNext");
  says(at(-121), "failed", "clockBehind", "clockNext");
  assert.deepEqual(at(-300).text[1], { seconds: 300 });
  says(clock(null), "unknown", "notTried");
});

test("the box, the rooms, the page and the certificate", () => {
  says(box({ id: "1", from: "10.0.0.2", ahead: 0, iceServers: [] }, ""), "ok", "boxOk");
  says(box({ id: "1", from: null, ahead: 0, iceServers: [] }, ""), "ok", "boxOkHidden");
  says(box(null, "no answer"), "failed", "boxFailed", "boxNext");
  says(socket(true), "ok", "socketOk");
  says(socket(false), "failed", "socketFailed", "socketNext");
  says(secure(), "ok", "secureOk");
  says(certificate([through("tls")]), "ok", "certificateOk");
  says(certificate([through("tcp")]), "unknown", "certificateDoubt", "certificateNext");
  says(certificate([]), "unknown", "certificateUnknown");
});

test("the address is what the browser says, or else what the box saw", () => {
  const seen = [sighting({ from: "203.0.113.7:4000" })];
  assert.deepEqual(address(facets({ mapped: { address: "203.0.113.7:3000", nat: "single" }, sightings: seen })).text[1], { address: "203.0.113.7:3000" });
  assert.deepEqual(address(facets({ mapped: { address: "", nat: "single" }, sightings: seen })).text[1], { address: "203.0.113.7:4000" });
  says(address(facets()), "unknown", "addressUnknown");
});

test("the kind of NAT is told by the ports that several destinations see", () => {
  const at = (/** @type {number} */ port, own = 4000, address = "203.0.113.7") =>
    ({ address, port, relatedAddress: address.includes(":") ? "::" : "0.0.0.0", relatedPort: own });
  assert.equal(natOf([at(1)], 1, true), "single");
  assert.equal(natOf([at(1)], 2, true), "same");
  assert.equal(natOf([at(1), at(2)], 2, true), "changes");
  assert.equal(natOf([at(1), at(2, 4001)], 2, true), "same", "another socket has a port of its own");
  assert.equal(natOf([at(1, 0), at(2, 0, "2001:db8::7")], 2, true), "same", "and so has another family");
  assert.equal(natOf([at(1)], 2, false), "unknown", "a destination was silent");
  assert.equal(natOf([], 2, true), "unknown");
  says(nat({ address: "", nat: "same" }), "ok", "natSame");
  says(nat({ address: "", nat: "changes" }), "ok", "natChanges");
  says(nat({ address: "", nat: "single" }), "unknown", "natSingle");
  says(nat(null), "unknown", "natUnknown");
});

test("the verdict is about calls", () => {
  const begun = { id: "1", from: null, ahead: 0, iceServers: [] };
  const shut = walk({ transport: "tls" });
  /** @type {[Partial<Facets>, string, string][]} */
  const cases = [
    [{ begun, walks: [through("udp"), through("tcp")] }, "ok", "verdictAll"],
    [{ begun, walks: [through("udp"), shut] }, "ok", "verdictSome"],
    [{ begun, walks: [shut] }, "failed", "verdictNothing"],
    [{ begun, socket: false, walks: [through("udp")] }, "failed", "verdictBox"],
    [{ begun: null, walks: [] }, "failed", "verdictBox"],
  ];
  for (const [facts, state, text] of cases) {
    const found = verdict(facets(facts));
    assert.deepEqual([found.state, found.text[0]], [state, text]);
    isSaid(found.text);
  }
});

test("a page that is not secure is sent to the one that is", () => {
  Object.assign(globalThis, { isSecureContext: false });
  try {
    says(secure(), "failed", "secureFailed", "secureNext");
    assert.equal(secure().href, "https://box.local:3478/check");
    says(socket(false), "failed", "socketFailed", "secureNext");
    assert.equal(verdict(facets({ walks: [through("udp")] })).text[0], "verdictInsecure");
  } finally {
    Object.assign(globalThis, { isSecureContext: true });
  }
});
