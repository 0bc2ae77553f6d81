/**
 * One call: the connection to one other member of a room, and what is known about it. Used through lanturn.js.
 *
 * @typedef {"udp" | "tcp" | "tls"} RelayTransport
 * @typedef {"connecting" | "connected" | "reconnecting" | "failed"} PeerState
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

/** Signals of one peer that wait to be handled; more than these are refused. */
const MAX_PENDING_SIGNALS = 256;
/** Candidates of one peer that wait for a description; more than these are refused. */
const MAX_EARLY_CANDIDATES = 128;

/** Somebody in the room, and the call with them. */
export class Peer {
  #polite;
  #initiate;
  #room;
  /** @type {MediaStream | null} */
  #outgoing = null;
  /** Everything that touches the connection's descriptions runs one after the other, in here. */
  #tail = Promise.resolve();
  #pending = 0;
  /** @type {(RTCIceCandidateInit | null)[]} */
  #early = [];
  #ignoring = false;

  /**
   * @param {{id: string, name?: string, polite: boolean, initiate: boolean}} entry @param {RTCConfiguration} configuration
   * @param {{signal: (data: object) => void, tell: (type: string, detail: object) => void}} room
   */
  constructor(entry, configuration, room) {
    this.id = entry.id;
    /** What the box said of them. @internal */
    this.entry = entry;
    this.name = entry.name ?? "";
    this.#polite = entry.polite;
    this.#initiate = entry.initiate;
    this.#room = room;
    /** What they send now; the same object for as long as they are here. */
    this.stream = new MediaStream();
    /** @type {PeerState} */
    this.state = "connecting";
    this.connection = new RTCPeerConnection(configuration);
    this.connection.onicecandidate = ({ candidate }) => room.signal({ candidate });
    this.connection.onnegotiationneeded = () => this.#then(() => this.#offer());
    this.connection.onconnectionstatechange = () => this.#changed();
  }

  /** @param {MediaStream | null} stream @internal */
  start(stream) {
    this.#outgoing = stream;
    if (!this.#initiate) return;
    this.connection.createDataChannel("presence");
    for (const kind of ["audio", "video"]) this.connection.addTransceiver(kind, { direction: "recvonly" });
    this.#then(() => this.#apply());
  }

  /** @param {MediaStream | null} stream @internal */
  send(stream) {
    this.#outgoing = stream;
    return this.#then(() => this.#apply());
  }

  /** @param {{description?: RTCSessionDescriptionInit, candidate?: RTCIceCandidateInit | null}} data @internal */
  receive(data) {
    if (this.#pending >= MAX_PENDING_SIGNALS) return this.#refuse("Too many signals at once.");
    this.#then(async () => {
      if (data.description) await this.#describe(data.description);
      else if (data.candidate !== undefined) await this.#candidate(data.candidate);
    });
  }

  /** @internal */
  close() {
    this.connection.onconnectionstatechange = null;
    this.connection.close();
  }

  async #offer() {
    // If a change is still under way, the event comes again when it is done.
    if (this.connection.signalingState !== "stable") return;
    await this.connection.setLocalDescription();
    this.#room.signal({ description: this.connection.localDescription });
  }

  /** @param {RTCSessionDescriptionInit} description */
  async #describe(description) {
    const pc = this.connection;
    const collision = description.type === "offer" && pc.signalingState !== "stable";
    this.#ignoring = collision && !this.#polite;
    if (this.#ignoring) return;
    // An answer to an offer that was taken back.
    if (description.type === "answer" && pc.signalingState !== "have-local-offer") return;
    await pc.setRemoteDescription(description);
    if (description.type === "offer") {
      await this.#apply();
      await pc.setLocalDescription();
      this.#room.signal({ description: pc.localDescription });
    }
    this.#hear();
    for (const candidate of this.#early.splice(0)) await this.#candidate(candidate);
  }

  /** @param {RTCIceCandidateInit | null} candidate */
  async #candidate(candidate) {
    if (!this.connection.remoteDescription) {
      if (this.#early.length < MAX_EARLY_CANDIDATES) this.#early.push(candidate);
      else this.#refuse("Too many candidates before a description.");
      return;
    }
    const sdp = this.connection.remoteDescription.sdp;
    const ufrag = candidate?.usernameFragment;
    // Of an offer that was ignored, or of a time before a restart of ICE.
    if (this.#ignoring || (ufrag && !sdp.includes(`a=ice-ufrag:${ufrag}`))) return;
    await this.connection.addIceCandidate(candidate ?? undefined);
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
      if (sent) this.#room.tell("track", { peer: this, track });
      this.#room.tell("stream", { peer: this });
    }
  }

  #changed() {
    const now = this.connection.connectionState;
    // Whoever notices first restarts; if both do, their offers collide and one gives way.
    if (now === "failed" && this.connection.remoteDescription) this.connection.restartIce();
    const before = this.state;
    if (now === "connected" || now === "failed") this.state = now;
    else if (before !== "connecting") this.state = "reconnecting";
    if (this.state !== before) this.#room.tell("state", { peer: this, state: this.state });
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
    this.#room.tell("error", { id: "bad-signal", text, fatal: false, peer: this });
  }
}

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
