/**
 * The camera, the microphone and the screen: on and off, each by itself, and why they can't be. Used through lanturn.js.
 *
 * @import { Devices, Media as MediaApi, Quality, QualityChange } from "./lanturn.js"
 * @typedef {import("./lanturn.js").Kind} Kind
 * @typedef {import("./lanturn.js").Refusal} Refusal
 */

import { audioConstraints, changed, DEFAULT_QUALITY, videoConstraints } from "./quality.js";

/** @type {Record<string, Refusal>} */
const REFUSALS = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "missing",
  OverconstrainedError: "missing",
  NotReadableError: "busy",
  AbortError: "busy",
};
/** What a browser may have to open a microphone anew for. */
const FILTERS = /** @type {const} */ (["echoCancellation", "noiseSuppression", "autoGainControl"]);

/** What we could send. @implements {Omit<MediaApi, "addEventListener">} */
export class Media extends EventTarget {
  /** Asked for, and the browser has not answered yet: with the number of the request. @type {Map<Kind, number>} */
  #asked = new Map();
  #requests = 0;
  /** What is ours to stop. @type {WeakSet<MediaStreamTrack>} */
  #owned = new WeakSet();
  /** @type {Record<Kind, string>} */
  #chosen = { audio: "", video: "" };
  /** @type {Record<Kind, boolean>} */
  #muted = { audio: false, video: false };
  /** @type {Quality} */
  #quality = DEFAULT_QUALITY;
  /** Ends what listens to the devices. @type {AbortController | null} */
  #listening = null;
  /** How often the screen was asked for or given up: a window that is chosen too late is shown to nobody. */
  #asksForScreen = 0;
  /** The last change of a device, of each kind: one comes after another. @type {Record<Kind, Promise<void>>} */
  #changes = { audio: Promise.resolve(), video: Promise.resolve() };

  /** @param {MediaStream | null} [stream] */
  constructor(stream) {
    super();
    this.stream = new MediaStream();
    this.screen = new MediaStream();
    if (stream) this.adopt(stream);
  }

  get quality() {
    return this.#quality;
  }

  /** @param {Kind} kind @returns {MediaStreamTrack | undefined} */
  track(kind) {
    return this.stream.getTracks().find((track) => track.kind === kind);
  }

  /** @param {Kind[]} kinds */
  async start(...kinds) {
    const wanted = kinds.filter((kind) => !this.track(kind) && !this.#asked.has(kind));
    if (wanted.length === 0) return;
    if (!navigator.mediaDevices) return this.#refuse("insecure");
    const request = (this.#requests += 1);
    for (const kind of wanted) this.#asked.set(kind, request);
    const stillWanted = (/** @type {Kind} */ kind) => this.#asked.get(kind) === request;
    try {
      await this.#ask(wanted, request).catch(async (error) => {
        const single = (await worthAsking(wanted, error)).filter(stillWanted);
        const each = await Promise.allSettled(single.map((kind) => this.#ask([kind], request)));
        const refused = each.find((result) => result.status === "rejected");
        if (refused) throw refused.reason;
        if (single.length < wanted.length) throw error;
      });
    } catch (error) {
      if (wanted.some(stillWanted)) this.#refuse(refusal(error));
    } finally {
      for (const kind of wanted.filter(stillWanted)) this.#asked.delete(kind);
    }
  }

  /** @param {Kind[]} kinds */
  stop(...kinds) {
    for (const kind of kinds) {
      this.#asked.delete(kind);
      const track = this.track(kind);
      if (!track) continue;
      this.#end(track);
      this.stream.removeTrack(track);
      this.#tell("change");
    }
  }

  /** Takes the first track of each kind, and stops none that is not ours. @param {MediaStream | null} stream @internal */
  adopt(stream) {
    for (const kind of /** @type {Kind[]} */ (["audio", "video"])) {
      const track = stream?.getTracks().find((each) => each.kind === kind && each.readyState === "live");
      if (track) this.#put(track);
      else this.stop(kind);
    }
  }

  close() {
    this.stop("audio", "video");
    this.unshare();
    this.#listening?.abort();
    this.#listening = null;
  }

  /** @param {Kind} kind @param {boolean} muted */
  mute(kind, muted) {
    if (this.#muted[kind] === muted) return;
    this.#muted[kind] = muted;
    const track = this.track(kind);
    if (track) track.enabled = !muted;
    this.#tell("change");
  }

  /** @param {Kind} kind */
  muted(kind) {
    return this.#muted[kind];
  }

  /** @returns {Promise<Devices>} */
  async devices() {
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    if (!this.#listening) {
      this.#listening = new AbortController();
      navigator.mediaDevices?.addEventListener("devicechange", () => this.#tell("devices"), { signal: this.#listening.signal });
    }
    const of = (/** @type {string} */ kind) => all.filter((each) => each.kind === kind);
    return { audio: of("audioinput"), video: of("videoinput"), output: of("audiooutput") };
  }

  /** @param {Kind} kind */
  deviceId(kind) {
    return this.track(kind)?.getSettings().deviceId ?? this.#chosen[kind];
  }

  /** @param {Kind} kind @param {string} deviceId */
  async use(kind, deviceId) {
    this.#chosen[kind] = deviceId;
    await this.#inTurn(kind, async () => {
      const isWanted = this.#chosen[kind] === deviceId && this.deviceId(kind) !== deviceId;
      if (isWanted && this.track(kind)) await this.#again(kind);
    });
  }

  /** @param {{audio?: boolean}} [options] */
  async share({ audio = true } = {}) {
    if (!navigator.mediaDevices?.getDisplayMedia) {
      this.#refuse(globalThis.isSecureContext ? "missing" : "insecure");
      return false;
    }
    const ask = (this.#asksForScreen += 1);
    try {
      const video = videoConstraints(this.#quality.screen);
      const tracks = (await navigator.mediaDevices.getDisplayMedia({ video, audio })).getTracks();
      if (ask !== this.#asksForScreen) {
        for (const track of tracks) track.stop();
        return false;
      }
      this.#show(tracks);
      return true;
    } catch (error) {
      // Whoever closes the dialog knows that they did. What the system forbids, they don't.
      if (error.name !== "NotAllowedError" || refusal(error) === "system") this.#refuse(refusal(error));
      return false;
    }
  }

  unshare() {
    this.#asksForScreen += 1;
    this.#show([]);
  }

  /** @param {QualityChange} change */
  async setQuality(change) {
    const before = this.#quality;
    this.#quality = changed(before, change);
    this.#tell("quality");
    const [camera, [screen]] = [this.track("video"), this.screen.getVideoTracks()];
    await Promise.all([
      change.camera && camera && constrain(camera, videoConstraints(this.#quality.camera)),
      change.screen && screen && constrain(screen, videoConstraints(this.#quality.screen)),
      change.audio && this.#inTurn("audio", () => this.#filter()),
    ]);
    this.#hint();
    this.#tell("constrained");
  }

  /** Has the microphone as it was asked for, opened anew if the browser can't change one that is open. */
  async #filter() {
    const track = this.track("audio");
    if (!track) return;
    const wanted = audioConstraints(this.#quality.audio);
    await constrain(track, wanted);
    const is = track.getSettings();
    const differs = FILTERS.some((filter) => is[filter] !== undefined && is[filter] !== wanted[filter]);
    const mono = this.#quality.audio.music && is.channelCount === 1;
    if ((differs || mono) && this.#owned.has(track)) await this.#again("audio");
  }

  /** @param {Kind} kind @param {() => Promise<void>} change */
  #inTurn(kind, change) {
    return (this.#changes[kind] = this.#changes[kind].then(change));
  }

  /** Opens a device in place of the one that is on. @param {Kind} kind */
  async #again(kind) {
    const before = this.track(kind);
    const open = () => navigator.mediaDevices.getUserMedia({ [kind]: this.#constraints(kind, "exact") });
    try {
      const stream = await open().catch((error) => {
        // Some systems open one at a time.
        if (refusal(error) !== "busy" || !before) throw error;
        this.#end(before);
        return open();
      });
      const [track] = stream.getTracks();
      // Turned off meanwhile.
      if (this.track(kind) !== before) return track.stop();
      this.#owned.add(track);
      this.#put(track);
    } catch (error) {
      if (before?.readyState === "ended") this.stop(kind);
      this.#refuse(refusal(error));
      // What is in use is not what was chosen.
      this.#tell("devices");
    }
  }

  /** @param {Kind[]} kinds @param {number} request */
  async #ask(kinds, request) {
    const wants = Object.fromEntries(kinds.map((kind) => [kind, this.#constraints(kind, "ideal")]));
    const stream = await navigator.mediaDevices.getUserMedia(wants);
    for (const track of stream.getTracks()) {
      const kind = /** @type {Kind} */ (track.kind);
      // Turned off again before the browser answered.
      if (this.#asked.get(kind) !== request) {
        track.stop();
        continue;
      }
      this.#owned.add(track);
      this.#put(track);
    }
    // They have names now.
    this.#tell("devices");
  }

  /** @param {Kind} kind @param {"exact" | "ideal"} how @returns {MediaTrackConstraints} */
  #constraints(kind, how) {
    const wishes = kind === "audio" ? audioConstraints(this.#quality.audio) : videoConstraints(this.#quality.camera);
    const deviceId = this.#chosen[kind];
    return deviceId ? { ...wishes, deviceId: { [how]: deviceId } } : wishes;
  }

  /** Unplugged, or taken back in the browser's own controls, or, where it is none of ours, stopped by who made it. @param {Event} event */
  #ended = ({ target }) => {
    const track = /** @type {MediaStreamTrack} */ (target);
    if (this.stream.getTracks().includes(track)) this.stop(/** @type {Kind} */ (track.kind));
    else if (this.screen.getTracks().includes(track)) this.#show(this.screen.getTracks().filter((each) => each !== track));
  };

  /** In place of the track of its kind. @param {MediaStreamTrack} track */
  #put(track) {
    const kind = /** @type {Kind} */ (track.kind);
    const before = this.track(kind);
    if (before === track) return;
    track.enabled = !this.#muted[kind];
    if (before) {
      this.#end(before);
      this.stream.removeTrack(before);
    }
    this.stream.addTrack(track);
    track.addEventListener("ended", this.#ended);
    this.#hint();
    this.#tell("change");
  }

  /** @param {MediaStreamTrack[]} tracks none: nothing is shared; nor is sound without its picture */
  #show(tracks) {
    const shown = tracks.some(({ kind }) => kind === "video") ? tracks : [];
    const gone = this.screen.getTracks().filter((track) => !shown.includes(track));
    for (const track of gone) {
      track.stop();
      this.screen.removeTrack(track);
    }
    for (const track of shown) {
      if (this.screen.getTracks().includes(track)) continue;
      this.#owned.add(track);
      track.addEventListener("ended", this.#ended);
      this.screen.addTrack(track);
    }
    this.#hint();
    this.#tell("change");
  }

  /** Tells the encoders what there is to be seen and heard. */
  #hint() {
    const { camera, screen, audio } = this.#quality;
    const [microphone, picture] = [this.track("audio"), this.track("video")];
    if (microphone) microphone.contentHint = audio.music ? "music" : "";
    if (picture) picture.contentHint = camera.contentHint ?? "";
    for (const track of this.screen.getVideoTracks()) track.contentHint = screen.contentHint ?? "";
  }

  /** @param {MediaStreamTrack} track */
  #end(track) {
    if (this.#owned.has(track)) track.stop();
  }

  /** @param {Refusal} why */
  #refuse(why) {
    this.dispatchEvent(new CustomEvent("refused", { detail: why }));
  }

  /** @param {string} type */
  #tell(type) {
    this.dispatchEvent(new Event(type));
  }
}

/**
 * A track that can't be as it was asked to be stays as it is; the statistics tell.
 * @param {MediaStreamTrack} track @param {MediaTrackConstraints} wishes
 */
async function constrain(track, wishes) {
  await track.applyConstraints(wishes).catch(() => {});
}

/**
 * What may be had by itself, where all together could not. Who denies does so for all that is asked for; what was denied
 * before keeps the rest away.
 * @param {Kind[]} kinds @param {Error} error @returns {Promise<Kind[]>}
 */
async function worthAsking(kinds, error) {
  if (kinds.length === 1) return [];
  if (error.name !== "NotAllowedError") return kinds;
  const states = await Promise.all(kinds.map(permission));
  return states.includes("denied") ? kinds.filter((_, i) => states[i] !== "denied") : [];
}

/** @param {Kind} kind @returns {Promise<PermissionState>} */
async function permission(kind) {
  const name = /** @type {PermissionName} */ (kind === "audio" ? "microphone" : "camera");
  // A browser that does not know the name asks.
  const status = await navigator.permissions?.query({ name }).catch(() => undefined);
  return status?.state ?? "prompt";
}

/** @param {unknown} error @returns {Refusal} */
function refusal(error) {
  const { name, message } = /** @type {Error} */ (error);
  // Chromium alone tells who it was: "Permission denied by system".
  if (name === "NotAllowedError" && /system/i.test(message)) return "system";
  return REFUSALS[name] ?? "failed";
}
