/**
 * One RTCPeerConnection and all that touches its descriptions: perfect negotiation (W3C WebRTC section 10.7), candidates
 * that come before what they belong to, and what browsers were seen to get wrong. Used through lanturn.js.
 *
 * @import { Quality } from "./lanturn.js"
 * @import { Outgoing } from "./sections.js"
 * @typedef {{description?: RTCSessionDescriptionInit | null, offer?: number, candidate?: RTCIceCandidateInit | null}} Signal
 * @typedef {{outgoing: Outgoing, quality: Quality, step: number}} Wants
 * @typedef {{signal: (data: Signal) => void, wants: () => Wants, heard: () => void, refuse: (text: string) => void}} Hooks
 */

import { fill } from "./sections.js";
import { shape } from "./shape.js";
import { hearOpus, sending } from "./wishes.js";

/** Signals of one peer that wait to be handled; more than these are refused. */
const MAX_PENDING_SIGNALS = 256;
/** How long a step may take. One that takes longer is one that a browser never ends. */
const STEP_WITHIN_MS = 15_000;
/** Candidates of one peer that wait for their description; the oldest make way. */
const MAX_EARLY_CANDIDATES = 128;
const SETUP = /^a=setup:(\w+)/m;

/** Calls `heard` whenever what they send may have changed, and asks `wants` what is to be sent. */
export class Negotiation {
  #polite;
  #initiate;
  #hooks;
  /** One step runs after the other, in here. */
  #tail = Promise.resolve();
  #pending = 0;
  /** When the present step began. */
  #since = 0;
  /** Ends what waits for an answer that a closed connection does not give. @type {Set<() => void>} */
  #waiting = new Set();
  /** @type {(RTCIceCandidateInit | null)[]} */
  #early = [];
  #ignoring = false;
  /** Counts our offers. What is said again can be answered twice: an answer names the offer that it is for. */
  #offers = 0;
  /** Which end of DTLS we are, "active" or "passive", once that is settled: it stays so for the whole connection. */
  #setup = "";
  /** Something that a browser does not ask a new offer for wants one; and our last offer was for that. */
  #again = false;
  #wasAgain = false;

  /** @param {{polite: boolean, initiate: boolean}} part @param {RTCConfiguration} configuration @param {Hooks} hooks */
  constructor({ polite, initiate }, configuration, hooks) {
    this.#polite = polite;
    this.#initiate = initiate;
    this.#hooks = hooks;
    this.connection = new RTCPeerConnection(configuration);
    this.connection.onicecandidate = ({ candidate }) => hooks.signal({ candidate });
    this.connection.onnegotiationneeded = () => this.#queue(() => this.#offer());
  }

  get closed() {
    return this.connection.signalingState === "closed";
  }

  get stands() {
    return !this.#hangs && this.connection.connectionState === "connected" && this.connection.signalingState === "stable";
  }

  get #hangs() {
    return this.#pending > 0 && performance.now() - this.#since > STEP_WITHIN_MS;
  }

  /** Who offers first makes the first sections. */
  start() {
    for (const kind of ["audio", "video"]) this.connection.addTransceiver(kind, { direction: "recvonly" });
    void this.fill();
  }

  /** What is to be sent has changed. */
  fill() {
    return this.#queue(() => this.#apply());
  }

  /** How it is to be sent may have changed. @param {{offer: boolean}} [needs] whether that takes a new offer */
  shape({ offer } = { offer: false }) {
    this.#again ||= offer;
    return this.#queue(async () => {
      await this.#shape();
      if (this.#again) await this.#offer();
    });
  }

  /** Nothing waits its turn. */
  get idle() {
    return this.#pending === 0;
  }

  /** @param {Signal} data */
  receive({ description, offer, candidate }) {
    if (this.#pending >= MAX_PENDING_SIGNALS) return this.#hooks.refuse("Too many signals at once.");
    void this.#queue(async () => {
      if (description) await this.#describe(description, offer);
      else if (candidate !== undefined) await this.#candidate(candidate);
    });
  }

  /** An offer that nobody answered is said again: whoever has answered it does so again, to no harm. Otherwise ICE restarts. */
  mend() {
    return this.#queue(async () => {
      if (this.stands) return;
      if (this.connection.signalingState === "have-local-offer") this.#sayOffer();
      else if (this.connection.remoteDescription) this.connection.restartIce();
    });
  }

  /** @returns {Promise<RTCStatsReport | undefined>} undefined if it closed meanwhile */
  report() {
    return this.#untilClosed(this.connection.getStats());
  }

  close() {
    this.connection.onconnectionstatechange = this.connection.onsignalingstatechange = null;
    this.connection.close();
    for (const end of this.#waiting) end();
  }

  async #offer() {
    // If a change is still under way, or the first offer is still to come, the event comes again after it.
    if (this.connection.signalingState !== "stable") return;
    if (!this.#initiate && !this.connection.remoteDescription) return;
    this.#wasAgain = this.#again;
    this.#again = false;
    await this.#setLocal();
    this.#offers += 1;
    this.#sayOffer();
  }

  async #setLocal() {
    const pc = this.connection;
    const { type, sdp = "" } = await (pc.signalingState === "have-remote-offer" ? pc.createAnswer() : pc.createOffer());
    await pc.setLocalDescription({ type, sdp: hearOpus(sdp) });
  }

  /** Our offer. */
  async #takeBack() {
    this.#again ||= this.#wasAgain;
    await this.connection.setLocalDescription({ type: "rollback" });
  }

  /** @param {RTCSessionDescriptionInit} description @param {boolean} collision whether an offer of ours was taken back for it */
  async #setRemote(description, collision) {
    try {
      await this.connection.setRemoteDescription(description);
    } catch (error) {
      const { currentRemoteDescription: last } = this.connection;
      if (!collision || !last || error.name !== "InvalidAccessError") throw error;
      await this.#settle(last);
      await this.connection.setRemoteDescription(description);
    }
  }

  /**
   * Ends an offer here with what they said last, as if they had answered so. Firefox was seen to refuse an offer that asks
   * for a new path after one of its own was taken back, until one was answered.
   * @param {RTCSessionDescription} last
   */
  async #settle({ sdp }) {
    const theirs = this.#setup === "active" ? "passive" : "active";
    const answer = sdp.replaceAll(new RegExp(SETUP, "gm"), `a=setup:${theirs}`).replaceAll(/^a=(sendrecv|sendonly|recvonly)/gm, "a=inactive");
    await this.connection.setLocalDescription(await this.connection.createOffer());
    try {
      await this.connection.setRemoteDescription({ type: "answer", sdp: answer });
    } catch (error) {
      await this.#takeBack();
      throw error;
    }
  }

  #sayOffer() {
    this.#hooks.signal({ description: this.connection.localDescription, offer: this.#offers });
  }

  /** @param {RTCSessionDescriptionInit} description @param {number} [offer] its number, or that of the one it answers */
  async #describe(description, offer) {
    const pc = this.connection;
    const collision = description.type === "offer" && pc.signalingState !== "stable";
    this.#ignoring = collision && !this.#polite;
    if (this.#ignoring) return;
    if (collision) await this.#takeBack();
    // An answer to an offer that was taken back, or that has been answered. Clients of another make give no number.
    const wanted = pc.signalingState === "have-local-offer" && (offer ?? this.#offers) === this.#offers;
    if (description.type === "answer" && !wanted) return;
    const sdp = sending(description.sdp ?? "", this.#hooks.wants().quality);
    await this.#setRemote({ type: description.type, sdp }, collision);
    const theirs = SETUP.exec(description.sdp ?? "")?.[1];
    if (description.type === "answer") this.#setup ||= theirs === "active" ? "passive" : "active";
    if (description.type === "offer") {
      await this.#apply();
      await this.#setLocal();
      this.#hooks.signal({ description: this.#answer(), offer });
    }
    this.#hooks.heard();
    await this.#shape();
    if (this.#again) void this.#queue(() => this.#offer());
    for (const candidate of this.#early.splice(0)) {
      // One that is bad takes none of the others with it.
      await this.#candidate(candidate).catch((error) => this.#hooks.refuse(String(error)));
    }
  }

  /** Our answer. Firefox was seen to change which end of DTLS it is, and Chromium then refuses what it says. */
  #answer() {
    const { type, sdp } = /** @type {RTCSessionDescription} */ (this.connection.localDescription);
    this.#setup ||= SETUP.exec(sdp)?.[1] ?? "";
    return { type, sdp: sdp.replaceAll(new RegExp(SETUP, "gm"), `a=setup:${this.#setup}`) };
  }

  /** @param {RTCIceCandidateInit | null} candidate */
  async #candidate(candidate) {
    const pc = this.connection;
    const name = candidate?.usernameFragment;
    // A name that is not theirs now may be that of an offer that we ignored, and they may use it again in their answer.
    if (!pc.remoteDescription || (name && !pc.remoteDescription.sdp.includes(`a=ice-ufrag:${name}`))) {
      this.#early.push(candidate);
      if (this.#early.length > MAX_EARLY_CANDIDATES) this.#early.shift();
      return;
    }
    await pc.addIceCandidate(candidate ?? undefined).catch((error) => {
      if (!this.#ignoring) throw error;
    });
  }

  async #apply() {
    // Whoever does not offer first has the sections of the first offer.
    if (!this.#initiate && !this.connection.remoteDescription) return;
    await fill(this.connection, this.#hooks.wants().outgoing);
    await this.#shape();
  }

  /** Makes what is sent as it was asked for. */
  async #shape() {
    const { quality, step } = this.#hooks.wants();
    await shape(this.connection, quality, step);
  }

  /** @param {() => Promise<void>} step @returns {Promise<void>} ends with the step, or with the connection */
  #queue(step) {
    if (this.#pending === 0) this.#since = performance.now();
    this.#pending += 1;
    this.#tail = this.#tail
      .then(() => {
        this.#since = performance.now();
        return this.closed ? undefined : step();
      })
      .catch((error) => void (this.closed || this.#hooks.refuse(String(error))))
      .then(() => void (this.#pending -= 1));
    return this.#untilClosed(this.#tail);
  }

  /** @template T @param {Promise<T>} answer @returns {Promise<T | undefined>} */
  #untilClosed(answer) {
    if (this.closed) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      const end = () => resolve(undefined);
      this.#waiting.add(end);
      answer.then(resolve, reject).finally(() => this.#waiting.delete(end));
    });
  }
}
