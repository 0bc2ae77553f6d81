/**
 * One call: the connection to one other member of a room, and what is known about it. Used through lanturn.js.
 *
 * @import { Kind, Peer as PeerApi, PeerState, Quality, Stats, StepReason, Transfer } from "./lanturn.js"
 * @import { Outgoing } from "./sections.js"
 * @import { Reading } from "./stats.js"
 * @typedef {{id: string, name?: string, role?: string, epoch?: number, away?: boolean, polite: boolean,
 *   initiate: boolean}} Entry
 * @typedef {{signal: (data: object) => void, tell: (type: string, detail: object) => void, reachable: () => boolean}} Link
 */

import { CHAT, Chat } from "./chat.js";
import { FILE, Files } from "./files.js";
import { Pace } from "./pace.js";
import { DEFAULT_QUALITY, LAST_STEP } from "./quality.js";
import { awaited, fill, heard, places } from "./sections.js";
import { shape } from "./shape.js";
import { Stall } from "./stall.js";
import { reading, summary } from "./stats.js";
import { alike, hearOpus, sending } from "./wishes.js";

/** Signals of one peer that wait to be handled; more than these are refused. */
const MAX_PENDING_SIGNALS = 256;
/** Candidates of one peer that wait for their description; the oldest make way. */
const MAX_EARLY_CANDIDATES = 128;
/** How long a call may be in a state that is no good, before it is mended. A lost path often comes back by itself. */
const PATIENCE_MS = { failed: 0, disconnected: 3_000, other: 8_000 };
/** How much longer the polite one of the two waits for the other to do it. */
const POLITE_MS = 3_000;
const MOST_PATIENCE_MS = 30_000;
/** For a call whose two ends have just found back to the box. */
const SOON_MS = 500;
const SETUP = /^a=setup:(\w+)/m;

/** Somebody in the room, and the call with them. @implements {PeerApi} */
export class Peer {
  #polite;
  #initiate;
  #link;
  /** @type {Outgoing} */
  #outgoing = { camera: null, screen: null };
  #quality = DEFAULT_QUALITY;
  #pace = new Pace();
  #stall = new Stall();
  /** The step that so many others call for. */
  #crowdStep = 0;
  /** @type {Reading | null} */
  #reading = null;
  /** @type {Chat | null} */
  #chat = null;
  #files;
  /** @type {Record<Kind, boolean>} ours */
  #muted = { audio: false, video: false };
  /** Everything that touches the connection's descriptions runs one after the other, in here. */
  #tail = Promise.resolve();
  #pending = 0;
  /** @type {(RTCIceCandidateInit | null)[]} */
  #early = [];
  #ignoring = false;
  /** Counts our offers. What is said again can be answered twice: an answer names the offer that it is for. */
  #offers = 0;
  /** Which end of DTLS we are, "active" or "passive", once that is settled: it stays so for the whole connection. */
  #setup = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #mending;
  #mended = 0;
  /** Something that a browser does not ask a new offer for wants one; and our last offer was for that. */
  #again = false;
  #wasAgain = false;

  /**
   * @param {Entry} entry what the box says of them
   * @param {RTCConfiguration} configuration @param {Link} link
   * @param {number} [maxFileBytes]
   */
  constructor(entry, configuration, link, maxFileBytes = 0) {
    this.id = entry.id;
    this.name = entry.name ?? "";
    this.role = entry.role ?? "member";
    /** Which of their beginnings this is the call with. @internal */
    this.epoch = entry.epoch ?? 1;
    /** Whether their connection to the box has dropped. A call with them goes on meanwhile if it can. */
    this.away = entry.away ?? false;
    this.#polite = entry.polite;
    this.#initiate = entry.initiate;
    this.#link = link;
    this.stream = new MediaStream();
    this.screen = new MediaStream();
    /** @type {Record<Kind, boolean>} theirs */
    this.muted = { audio: false, video: false };
    /** @type {PeerState} */
    this.state = "connecting";
    /** @type {Stats | null} */
    this.stats = null;
    this.connection = new RTCPeerConnection(configuration);
    this.#files = new Files(this, maxFileBytes, (transfer) => link.tell("file", { peer: this, transfer }));
    this.connection.ondatachannel = ({ channel }) => this.#opened(channel);
    this.connection.onicecandidate = ({ candidate }) => link.signal({ candidate });
    this.connection.onnegotiationneeded = () => this.#then(() => this.#offer());
    this.connection.onsignalingstatechange = () => this.#watch();
    this.connection.onconnectionstatechange = () => this.#changed();
  }

  /** What the box says of them. @returns {Entry} @internal */
  get entry() {
    const { id, name, role, epoch, away } = this;
    return { id, name, role, epoch, away, polite: this.#polite, initiate: this.#initiate };
  }

  get chats() {
    return this.#chat?.open ?? false;
  }

  get step() {
    return Math.min(LAST_STEP, this.#pace.step + this.#crowdStep);
  }

  /** @returns {StepReason | null} */
  get stepReason() {
    return this.#pace.because ?? (this.#crowdStep > 0 ? "peers" : null);
  }

  /**
   * @param {MediaStream | null} camera @param {MediaStream | null} [screen] @param {Quality} [quality]
   * @internal
   */
  start(camera, screen = null, quality = DEFAULT_QUALITY) {
    this.#outgoing = { camera, screen };
    this.#quality = quality;
    this.#watch();
    if (!this.#initiate) return;
    this.#talk(this.connection.createDataChannel(CHAT));
    for (const kind of ["audio", "video"]) this.connection.addTransceiver(kind, { direction: "recvonly" });
    this.#then(() => this.#apply());
  }

  /** There is no call, as between two viewers. @internal */
  rest() {
    this.state = "idle";
    this.close();
  }

  /** @param {RTCConfiguration} configuration @internal */
  configure(configuration) {
    if (this.connection.signalingState !== "closed") this.connection.setConfiguration(configuration);
  }

  /** @param {MediaStream | null} camera @param {MediaStream | null} [screen] @internal */
  send(camera, screen = null) {
    this.#outgoing = { camera, screen };
    return this.#then(() => this.#apply());
  }

  /** @param {Quality} quality @internal */
  shape(quality) {
    if (!alike(this.#quality, quality)) this.#again = true;
    this.#quality = quality;
    return this.#then(async () => {
      await this.#shape();
      if (this.#again) await this.#offer();
    });
  }

  /** How many are sent to has changed. @param {number} step for so many @internal */
  crowd(step) {
    if (step !== this.#crowdStep) this.#stepped(() => (this.#crowdStep = step));
  }

  /** @param {string} text @returns {boolean} whether it was sent @internal */
  say(text) {
    return this.#chat?.say(text) ?? false;
  }

  /** @param {Record<Kind, boolean>} muted ours @internal */
  mute(muted) {
    this.#muted = muted;
    this.#chat?.mute(muted);
  }

  /** @param {File} file @returns {Transfer} @internal */
  sendFile(file) {
    return this.#files.send(file);
  }

  /** The reading of a second. @internal */
  async measure() {
    if (this.connection.connectionState !== "connected") return;
    const now = reading(await this.connection.getStats());
    // Gone meanwhile.
    if (this.connection.signalingState === "closed") return;
    this.stats = this.#summary(now);
    this.#reading = now;
    this.#link.tell("stats", { peer: this, stats: this.stats });
    const { lossOut, limitedBy } = this.stats;
    this.#stepped(() => this.#pace.observe({ loss: lossOut, limitedBy }));
    if (this.#stands && this.#stall.observe(awaited(this.connection, this.muted), now)) this.connection.restartIce();
    // The camera may have been turned, or a window been made larger.
    if (this.#pending === 0) await this.#then(() => this.#shape());
  }

  /** @returns {Promise<Stats>} @internal */
  async summary() {
    return this.#summary(reading(await this.connection.getStats()));
  }

  /** @param {Reading} now */
  #summary(now) {
    return summary(now, this.#reading, { places: places(this.connection), quality: this.#quality, step: this.step });
  }

  /** @param {() => unknown} change of what the step comes from */
  #stepped(change) {
    const before = this.step;
    change();
    if (this.step === before) return;
    this.#link.tell("step", { peer: this, step: this.step, because: this.stepReason });
    void this.#then(() => this.#shape());
  }

  /** @param {RTCDataChannel} channel */
  #opened(channel) {
    if (channel.label === FILE) this.#files.offered(channel);
    else if (channel.label === CHAT && !this.#chat) this.#talk(channel);
  }

  /** @param {RTCDataChannel} channel */
  #talk(channel) {
    this.#chat = new Chat(channel, this.#muted, {
      changed: () => this.#link.tell("data", { peer: this }),
      said: (text) => this.#link.tell("chat", { peer: this, text, at: new Date() }),
      muted: (muted) => {
        if (muted.audio === this.muted.audio && muted.video === this.muted.video) return;
        this.muted = muted;
        this.#link.tell("muted", { peer: this });
      },
    });
  }

  /**
   * @param {{description?: RTCSessionDescriptionInit, offer?: number, candidate?: RTCIceCandidateInit | null}} data
   * @internal
   */
  receive(data) {
    if (this.#pending >= MAX_PENDING_SIGNALS) return this.#refuse("Too many signals at once.");
    this.#then(async () => {
      if (data.description) await this.#describe(data.description, data.offer);
      else if (data.candidate !== undefined) await this.#candidate(data.candidate);
    });
  }

  /** Signals get through again: a call that does not stand is mended soon; one that stands is left alone. @internal */
  reached() {
    this.#mended = 0;
    this.#watch(SOON_MS);
  }

  /** The network has changed: the path may be gone, and a better one be there. @internal */
  moved() {
    if (this.#stands) this.connection.restartIce();
  }

  /** @internal */
  close() {
    clearTimeout(this.#mending);
    this.#files.close();
    this.connection.onconnectionstatechange = this.connection.onsignalingstatechange = null;
    this.connection.close();
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
    this.#link.signal({ description: this.connection.localDescription, offer: this.#offers });
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
    const sdp = sending(description.sdp ?? "", this.#quality);
    await this.#setRemote({ type: description.type, sdp }, collision);
    const theirs = SETUP.exec(description.sdp ?? "")?.[1];
    if (description.type === "answer") this.#setup ||= theirs === "active" ? "passive" : "active";
    if (description.type === "offer") {
      await this.#apply();
      await this.#setLocal();
      this.#link.signal({ description: this.#answer(), offer });
    }
    this.#hear();
    await this.#shape();
    if (this.#again) void this.#then(() => this.#offer());
    for (const candidate of this.#early.splice(0)) {
      // One that is bad takes none of the others with it.
      await this.#candidate(candidate).catch((error) => this.#refuse(String(error)));
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
    await fill(this.connection, this.#outgoing);
    await this.#shape();
  }

  /** Makes what is sent as it was asked for. */
  async #shape() {
    await shape(this.connection, this.#quality, this.step);
  }

  /** Makes `stream` and `screen` hold exactly what the other side sends. */
  #hear() {
    const { camera, screen } = heard(this.connection);
    this.#hold(this.stream, camera, "stream");
    this.#hold(this.screen, screen, "screen");
  }

  /** @param {MediaStream} stream @param {MediaStreamTrack[]} tracks @param {string} type of the event */
  #hold(stream, tracks, type) {
    const before = stream.getTracks();
    const gone = before.filter((track) => !tracks.includes(track));
    const came = tracks.filter((track) => !before.includes(track));
    for (const track of gone) stream.removeTrack(track);
    for (const track of came) stream.addTrack(track);
    for (const track of came) this.#link.tell("track", { peer: this, track });
    if (gone.length + came.length > 0) this.#link.tell(type, { peer: this });
  }

  #changed() {
    const now = this.connection.connectionState;
    const before = this.state;
    if (now === "connected" || now === "failed") this.state = now;
    else if (before !== "connecting") this.state = "reconnecting";
    if (this.state !== before) this.#link.tell("state", { peer: this, state: this.state });
    this.#watch();
  }

  get #stands() {
    return this.connection.connectionState === "connected" && this.connection.signalingState === "stable";
  }

  /**
   * Sees to it that a call which does not stand is mended in the end, whatever was lost on the way.
   * @param {number} [patience] ms
   */
  #watch(patience = this.#patience()) {
    clearTimeout(this.#mending);
    if (this.#stands) this.#mended = 0;
    else this.#mending = setTimeout(() => void this.#then(() => this.#mend()), patience + (this.#polite ? POLITE_MS : 0));
  }

  #patience() {
    const { connectionState } = this.connection;
    const { failed, disconnected, other } = PATIENCE_MS;
    const first = connectionState === "failed" ? failed : connectionState === "disconnected" ? disconnected : other;
    const next = this.#mended > 0 ? 1_000 * 2 ** this.#mended : 0;
    return Math.min(MOST_PATIENCE_MS, Math.max(first, next));
  }

  async #mend() {
    const pc = this.connection;
    if (this.#stands) return;
    if (this.#link.reachable()) {
      this.#mended += 1;
      // An offer that nobody answered is said again: whoever has answered it does so again, to no harm.
      if (pc.signalingState === "have-local-offer") this.#sayOffer();
      else if (pc.remoteDescription) pc.restartIce();
    }
    this.#watch();
  }

  /** @param {() => Promise<void>} step @returns {Promise<void>} */
  #then(step) {
    this.#pending += 1;
    this.#tail = this.#tail
      .then(() => (this.connection.signalingState === "closed" ? undefined : step()))
      .catch((error) => this.connection.signalingState !== "closed" && this.#refuse(String(error)))
      .then(() => void (this.#pending -= 1));
    return this.#tail;
  }

  /** @param {string} text */
  #refuse(text) {
    this.#link.tell("error", { id: "bad-signal", text, fatal: false, peer: this });
  }
}
