/**
 * What lanturn.js offers to those who import it. The module is checked against this file, so it can't drift.
 *
 * Bitrates are in bit/s, times in seconds where a W3C statistic is meant and in milliseconds where a `…In` or `at` says
 * so, shares from 0 to 1.
 */

/** Why a room could not be entered, or a request not be met. */
export class JoinError extends Error {
  constructor(id: string, text: string);
  /** The stable id: one of docs/protocol.md, or "unreachable", "timeout". */
  readonly id: string;
}

/**
 * Enters a room. Resolves once in it; `room.self` and `room.peers` are complete then, and no event has been missed.
 * @param url the box ("https://box:3478"), its socket ("wss://box:3478/ws"), or this page's if undefined
 * @throws {JoinError} or the reason of the aborted signal
 */
export function join(url: string | URL | undefined, room: string, options?: JoinOptions): Promise<Room>;

export type Role = "presenter" | "member" | "viewer";
export type RelayTransport = "udp" | "tcp" | "tls";

export interface JoinOptions {
  /** What the others see. */
  name?: string;
  /** What we are in the room for; "member" unless said otherwise. */
  role?: Role;
  /** The room's PIN, if it has one; who makes a room with one gives it that. */
  pin?: string;
  /** What an invite carried: it opens a room with a PIN, and says the role. */
  invite?: string;
  /** What is sent: camera, microphone and screen, turned on and off at any time. */
  media?: Media;
  /** In place of `media`: the first audio and the first video track of a stream of your own. */
  stream?: MediaStream | null;
  /** "relay" sends everything through the box. */
  iceTransportPolicy?: RTCIceTransportPolicy;
  /** Use only this way to the relay. */
  relayTransport?: RelayTransport;
  /** Anything else for the peer connections. */
  rtcConfiguration?: RTCConfiguration;
  /** How many others may be sent to before `crowded` warns: 6 unless said otherwise. */
  crowd?: number;
  /** The longest file that is taken, in bytes: it is kept in memory. 256 MiB unless said otherwise. */
  maxFileBytes?: number;
  /** Leaves the room, or gives up joining it. */
  signal?: AbortSignal;
}

/** What the room's events carry in `event.detail`. */
export interface RoomEvents {
  /** Somebody came. */
  peer: { peer: Peer };
  /** Somebody is gone: "restarted" (`peer` follows), or "closed" with the whole room. */
  "peer-left": { peer: Peer; reason: "left" | "disconnected" | "kicked" | "restarted" | "closed" };
  /** `peer.away` has changed. */
  presence: { peer: Peer };
  /** `peer.name` has changed. */
  renamed: { peer: Peer };
  /** A track came into `peer.stream` or `peer.screen`. */
  track: { peer: Peer; track: MediaStreamTrack };
  /** What `peer.stream` holds has changed. */
  stream: { peer: Peer };
  /** What `peer.screen` holds has changed. */
  screen: { peer: Peer };
  /** `peer.muted` has changed. */
  muted: { peer: Peer };
  /** `peer.state` has changed. */
  state: { peer: Peer; state: PeerState };
  /** Once a second for each call: `peer.stats` is new. */
  stats: { peer: Peer; stats: Stats };
  /** `peer.step` has changed: less is sent to this one than was asked for, or more again. */
  step: { peer: Peer; step: number; because: StepReason | null };
  /** `room.crowded` has changed, or somebody more came while it is so: `peers` are sent to, `most` should be. */
  crowded: { crowded: boolean; peers: number; most: number };
  /** `peer.chats` has changed: whether they take text and files. */
  data: { peer: Peer };
  /** Somebody wrote something; `at` is when it came. */
  chat: { peer: Peer; text: string; at: Date };
  /** Somebody offers a file: `transfer.accept()` or `transfer.refuse()`. */
  file: { peer: Peer; transfer: Transfer };
  /** `room.host`, `room.locked` or `room.hasPin` has changed. */
  room: Record<string, never>;
  /** The connection to the box dropped; `retryIn` is the time to the next attempt in ms. */
  away: { reason: string; retryIn: number };
  /** It is there again. */
  back: Record<string, never>;
  /** So it is, but with a new `room.self` and new `room.peers`. */
  joined: Record<string, never>;
  /** A stable id of the box, or one of ours: "unreachable", "timeout", "bad-signal". */
  error: { id: string; text: string; fatal: boolean; peer?: Peer };
  /** Out of the room for good. */
  closed: { reason: string };
}

/** A room that we are in, or are on the way back into. */
export class Room extends EventTarget {
  private constructor();
  /** As the box spells it. */
  readonly name: string;
  readonly self: { readonly id: string; readonly name?: string; readonly role?: string };
  /** Who else is here, by id. */
  readonly peers: Map<string, Peer>;
  /** How many fit in, ourselves included. */
  readonly capacity: number;
  /** Who may lock the room, give it a PIN and send people away: a member's id. */
  readonly host: string;
  /** Whether nobody more is let in. */
  readonly locked: boolean;
  readonly hasPin: boolean;
  /** Whether the box hears us now. */
  readonly connected: boolean;
  /** Whether we send to so many that their quality suffers: see `crowded`. */
  readonly crowded: boolean;
  /** What peer connections are made with. */
  readonly configuration: RTCConfiguration;
  /** What is sent. */
  readonly media: Media;
  /** Its camera and microphone. */
  readonly stream: MediaStream;

  /** Sends another camera and microphone, or none, to everybody from now on, in the calls that run. */
  setStream(stream: MediaStream | null): Promise<void>;
  /** Asks for another quality, in the calls that run: see `Media.setQuality`. */
  setQuality(change: QualityChange): Promise<void>;
  /** The path of a call, what flows over it, and what was asked for; null if nobody has that id. */
  stats(peerId: string): Promise<Stats | null>;
  /**
   * Writes to everybody, or to one. Gives back whether it went to anybody. At most 4,000 characters.
   * @throws {RangeError} if it is longer, or empty
   */
  say(text: string, peerId?: string): boolean;
  /** Offers a file to everybody who takes files, or to one: a transfer for each. */
  sendFile(file: File, peerId?: string): Transfer[];
  /** What happened and how it stands, as text for support: without names, credentials, PINs, tokens and invites. */
  report(): string;
  /** Leaves for good. What `media` has on stays on. */
  leave(): void;

  /**
   * Makes an invite, with which `join` enters the room as `role` and needs no PIN. `ttl` in seconds. Rejects with a
   * JoinError if the box refuses, can't be reached or does not answer within 10 s.
   */
  invite(wanted?: { role?: string; ttl?: number }): Promise<{ invite: string; role: string; expiresAt: number }>;
  /**
   * For the host: lets nobody more in, or everybody again. As with `setPin` and `kick`, an `error` says so if there is no
   * connection to the box or it refuses, and then nothing has changed.
   */
  lock(locked: boolean): void;
  /** For the host: gives the room a PIN, or takes it away. Invites made before it end. */
  setPin(pin: string | null): void;
  /** For the host: sends somebody away. */
  kick(peerId: string): void;

  addEventListener<K extends keyof RoomEvents>(
    type: K,
    listener: (event: CustomEvent<RoomEvents[K]>) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

/** "idle", for ever, between two viewers. */
export type PeerState = "idle" | "connecting" | "connected" | "reconnecting" | "failed";

/** Somebody in the room, and the call with them. */
export interface Peer {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  /** Whether their connection to the box has dropped. A call with them goes on meanwhile if it can. */
  readonly away: boolean;
  readonly state: PeerState;
  /** Their camera and microphone; the same object for as long as they are here, and empty while both are off. */
  readonly stream: MediaStream;
  /** The screen that they share, with its sound; likewise. */
  readonly screen: MediaStream;
  /** Whether they have muted the microphone, or hidden the camera, without turning it off. */
  readonly muted: Readonly<Record<Kind, boolean>>;
  /** Whether they take text and files: the call stands, and they use this module or speak as it does. */
  readonly chats: boolean;
  /** The last statistics, at most a second old while the call stands. */
  readonly stats: Stats | null;
  /** How far what they are sent was stepped down: 0, as asked, to 4. */
  readonly step: number;
  /** Why. */
  readonly stepReason: StepReason | null;
  /** Another one once a call that could not be mended has been begun anew. */
  readonly connection: RTCPeerConnection;
}

/** Packets are lost; the processor can't keep up; too many are sent to. */
export type StepReason = "loss" | "cpu" | "peers";

// Media

export type Kind = "audio" | "video";
/** Why a device or a screen can't be had: see docs/client.md. */
export type Refusal = "denied" | "system" | "missing" | "busy" | "insecure" | "failed";

export interface MediaEvents {
  /** A track came, went, was muted or unmuted. */
  change: Event;
  /** Something asked for could not be had. */
  refused: CustomEvent<Refusal>;
  /** A device was plugged in or out, or may be named now: ask `devices()` again. */
  devices: Event;
  /** `quality` has changed. */
  quality: Event;
}

/** The camera, the microphone and the screen: on and off, each by itself. Give it to `join`, before or after `start`. */
export class Media extends EventTarget {
  /** @param stream tracks of your own to begin with; they are never stopped */
  constructor(stream?: MediaStream | null);
  /** Camera and microphone: at most one track of each kind. The same object always. */
  readonly stream: MediaStream;
  /** The screen that is shared, with its sound. The same object always; empty while none is. */
  readonly screen: MediaStream;
  /** What was asked for, in full. */
  readonly quality: Quality;

  /** The track of the camera or microphone that is on. */
  track(kind: Kind): MediaStreamTrack | undefined;
  /** Turns on what is off, in one question where there are two; one that can't be had does not stop the other. */
  start(...kinds: Kind[]): Promise<void>;
  /** Turns off, so that the light of the camera goes out. */
  stop(...kinds: Kind[]): void;
  /** Sends silence or black, and keeps the device; or goes on. The others are told. Also of what is yet to be started. */
  mute(kind: Kind, muted: boolean): void;
  /** Whether `mute` is so. */
  muted(kind: Kind): boolean;
  /** What there is to choose from. Labels are empty until the browser allows them; Firefox waits until the page is seen. */
  devices(): Promise<Devices>;
  /** Which device is on, or is to be: "" leaves it to the browser. */
  deviceId(kind: Kind): string;
  /** Uses another device: at once if that kind is on, in the calls that run. */
  use(kind: Kind, deviceId: string): Promise<void>;
  /** Asks for a screen or window to share, in place of one that is. Whether there is one; a closed dialog is no refusal. */
  share(options?: { audio?: boolean }): Promise<boolean>;
  unshare(): void;
  /** Turns all off, and listens to the devices no more, until it is used again. */
  close(): void;
  /**
   * Asks for another quality: constraints of the tracks that are on, then parameters of what is sent, then a new offer if
   * nothing less will do. What is not named stays.
   * @throws {RangeError} for a setting that is out of its range
   */
  setQuality(change: QualityChange): Promise<void>;

  addEventListener<K extends keyof MediaEvents>(
    type: K,
    listener: (event: MediaEvents[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

export interface Devices {
  audio: MediaDeviceInfo[];
  video: MediaDeviceInfo[];
  /** For `HTMLMediaElement.setSinkId`, where there is that. */
  output: MediaDeviceInfo[];
}

// Quality

/** Data saver, balanced 720p30, sharp 1080p30, smooth 1080p60; and for screens: text, motion. */
export type Preset = "saver" | "balanced" | "sharp" | "smooth" | "text" | "motion";

export interface VideoSettings {
  /** Pixels, 16 to 7680. Asked of the device as `ideal`. */
  width?: number;
  /** Pixels, 16 to 4320. */
  height?: number;
  /** Frames a second, 1 to 120. */
  frameRate?: number;
  /** bit/s for each one who is sent to, 30,000 to 50,000,000; undefined leaves it to the browser. */
  maxBitrate?: number;
  /** What gives way when there is too little of everything. */
  degradationPreference?: "balanced" | "maintain-framerate" | "maintain-resolution";
  contentHint?: "" | "motion" | "detail" | "text";
  /** MIME types, such as "video/VP9", most wanted first; those that are not named follow. [] is the browser's order. */
  codecs?: string[];
}

export interface AudioSettings {
  echoCancellation: boolean;
  noiseSuppression: boolean;
  autoGainControl: boolean;
  /** Opus' forward error correction (RFC 7587 `useinbandfec`). */
  fec: boolean;
  /** Sends next to nothing while nobody speaks (RFC 7587 `usedtx`). */
  dtx: boolean;
  /** Stereo at a high bitrate and nothing filtered out, whatever the first three say. */
  music: boolean;
  /** bit/s, 6,000 to 510,000; undefined leaves it to the browser, or is 192,000 for music. */
  maxBitrate?: number;
}

export interface Quality {
  camera: VideoSettings;
  screen: VideoSettings;
  audio: AudioSettings;
}

/** A preset takes the place of all video settings but `codecs`; settings of your own replace those that they name. */
export interface QualityChange {
  camera?: Preset | VideoSettings;
  screen?: Preset | VideoSettings;
  audio?: Partial<AudioSettings>;
}

/** What the presets stand for. "balanced" for the camera and "text" for the screen are where everybody starts. */
export const presets: Readonly<Record<Preset, Readonly<VideoSettings>>>;

/** The codecs that this browser can send, as MIME types and without duplicates, in its own order. */
export function codecs(kind: Kind): string[];

// Statistics

export interface Stats {
  /** When, in ms of `performance.now()`. */
  at: number;
  path: Path | null;
  /** bit/s over the last second, all in all; null until there are two readings. */
  bitrateIn: number | null;
  bitrateOut: number | null;
  /** Seconds. */
  roundTripTime: number | null;
  /** The share of packets that did not come in the last second; and of ours that did not, as the other side tells. */
  lossIn: number | null;
  lossOut: number | null;
  /** Seconds; the worst of what comes in. */
  jitter: number | null;
  /** What holds our picture down, by the browser's own account (qualityLimitationReason); null: none is sent. */
  limitedBy: "none" | "cpu" | "bandwidth" | "other" | null;
  received: Flows;
  sent: Flows;
  /** What was asked for beside what is sent. Rows of what is not sent are left out. */
  compared: Compared[];

  /** The raw pair, and totals since the call began. */
  selectedPair: {
    localType: string;
    remoteType: string;
    relayProtocol: RelayTransport | null;
    protocol: string;
    roundTripTime: number | null;
  } | null;
  framesDecoded: number;
  framesSent: number;
  frameWidth: number;
  frameHeight: number;
  bytesReceived: number;
  bytesSent: number;
}

/** The path of a call, in parts to make words of. */
export interface Path {
  /** "relay": at least one of the two goes through one. */
  kind: "direct" | "relay";
  /** How we reach the relay, or the other side. */
  transport: RelayTransport;
  /** Our relay's address and port as its URL names them, if we use one. */
  relay: string | null;
  /** Their address and port, as far as the browser tells: "" if it hides it. */
  remote: string;
  /** Ours. */
  local: string;
  /** host, srflx, prflx or relay. */
  localType: string;
  remoteType: string;
}

export interface Flow {
  /** bit/s; null until there are two readings. */
  bitrate: number | null;
  /** MIME type. */
  codec: string;
  /** Share of packets lost in the last second. */
  loss: number | null;
}

export interface VideoFlow extends Flow {
  width: number;
  height: number;
  /** Frames a second. */
  frameRate: number;
}

export interface Flows {
  audio: Flow | null;
  camera: VideoFlow | null;
  screen: VideoFlow | null;
  screenAudio: Flow | null;
}

/** One row: the camera's frame rate was asked to be 30, is allowed to be 30, and is 24. */
export interface Compared {
  of: "camera" | "screen" | "audio";
  what: "width" | "height" | "frameRate" | "maxBitrate" | "codec";
  /** undefined: nothing was asked for. */
  asked: number | string | undefined;
  /** What is left of it after stepping down. */
  allowed: number | string | undefined;
  sent: number | string;
}

// Files

export type TransferState = "offered" | "running" | "done" | "refused" | "cancelled" | "failed";

/** One file on its way to or from one other. Events: `progress` and, once it has changed, `state`. */
export interface Transfer extends EventTarget {
  readonly direction: "in" | "out";
  readonly peer: Peer;
  /** As the other side says: show it, and don't trust it. At most 255 characters, none of them a control or a slash. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** MIME type as the other side says, or "". */
  readonly type: string;
  readonly state: TransferState;
  /** Why it was refused or failed, if it was: "too-large", "too-many", "refused", "lost", "broken". */
  readonly reason: string;
  /** Bytes that have come, or that the other side has confirmed. */
  readonly moved: number;
  /** For an offer that came in. Resolves with the whole file. @throws {DOMException} AbortError, if it does not come */
  accept(): Promise<Blob>;
  refuse(): void;
  /** From either side, at any time. */
  cancel(): void;
}
