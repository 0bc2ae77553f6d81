/**
 * One call: the connection to one other member of a room, and what is known about it. Used through lanturn.js.
 *
 * @typedef {"idle" | "connecting" | "connected" | "reconnecting" | "failed"} PeerState
 * @typedef {{id: string, name?: string, role?: string, epoch?: number, away?: boolean, polite: boolean,
 *   initiate: boolean}} Entry
 * @typedef {{signal: (data: object) => void, tell: (type: string, detail: object) => void, reachable: () => boolean}} Link
 */

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

/** Somebody in the room, and the call with them. */
export class Peer {
  #polite;
  #initiate;
  #link;
  /** @type {MediaStream | null} */
  #outgoing = null;
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

  /**
   * @param {Entry} entry what the box says of them
   * @param {RTCConfiguration} configuration @param {Link} link
   */
  constructor(entry, configuration, link) {
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
    /** What they send now; the same object for as long as they are here. */
    this.stream = new MediaStream();
    /** @type {PeerState} */
    this.state = "connecting";
    this.connection = new RTCPeerConnection(configuration);
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

  /** @param {MediaStream | null} stream @internal */
  start(stream) {
    this.#outgoing = stream;
    this.#watch();
    if (!this.#initiate) return;
    this.connection.createDataChannel("presence");
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

  /** @param {MediaStream | null} stream @internal */
  send(stream) {
    this.#outgoing = stream;
    return this.#then(() => this.#apply());
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

  /** @internal */
  close() {
    clearTimeout(this.#mending);
    this.connection.onconnectionstatechange = this.connection.onsignalingstatechange = null;
    this.connection.close();
  }

  async #offer() {
    // If a change is still under way, or the first offer is still to come, the event comes again after it.
    if (this.connection.signalingState !== "stable") return;
    if (!this.#initiate && !this.connection.remoteDescription) return;
    await this.connection.setLocalDescription();
    this.#offers += 1;
    this.#sayOffer();
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
    // An answer to an offer that was taken back, or that has been answered. Clients of another make give no number.
    const wanted = pc.signalingState === "have-local-offer" && (offer ?? this.#offers) === this.#offers;
    if (description.type === "answer" && !wanted) return;
    await pc.setRemoteDescription(description);
    if (description.type === "answer") this.#setup ||= SETUP.exec(description.sdp ?? "")?.[1] === "active" ? "passive" : "active";
    if (description.type === "offer") {
      await this.#apply();
      await pc.setLocalDescription();
      this.#link.signal({ description: this.#answer(), offer });
    }
    this.#hear();
    for (const candidate of this.#early.splice(0)) await this.#candidate(candidate);
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

  /** Puts our tracks into the sections that the call has; a changed direction asks for a new offer by itself. */
  async #apply() {
    for (const kind of ["audio", "video"]) {
      const section = this.connection.getTransceivers().find((each) => each.receiver.track.kind === kind);
      if (!section || section.direction === "stopped") continue;
      const live = this.#outgoing?.getTracks().filter((each) => each.readyState === "live") ?? [];
      const track = live.find((each) => each.kind === kind) ?? null;
      if (section.sender.track !== track) await section.sender.replaceTrack(track);
      section.direction = track ? "sendrecv" : "recvonly";
    }
  }

  /** Makes `stream` hold exactly what the other side sends. */
  #hear() {
    for (const section of this.connection.getTransceivers()) {
      const { track } = section.receiver;
      const sent = ["sendrecv", "recvonly"].includes(section.currentDirection ?? "");
      if (sent === this.stream.getTracks().includes(track)) continue;
      if (sent) this.stream.addTrack(track);
      else this.stream.removeTrack(track);
      if (sent) this.#link.tell("track", { peer: this, track });
      this.#link.tell("stream", { peer: this });
    }
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
