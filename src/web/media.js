/** The camera and the microphone: on and off, each by itself, and why they can't be. */

/** @typedef {"audio" | "video"} Kind */
/** @typedef {"denied" | "missing" | "busy" | "insecure" | "failed"} Refusal */

const VIDEO = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
/** @type {Record<string, Refusal>} */
const REFUSALS = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "missing",
  OverconstrainedError: "missing",
  NotReadableError: "busy",
  AbortError: "busy",
};

/** What we could send. Fires `change` when a track comes or goes, and `refused` with `detail` a {@link Refusal}. */
export class Media extends EventTarget {
  /** Asked for, and the browser has not answered yet. @type {Set<Kind>} */
  #asked = new Set();

  constructor() {
    super();
    this.stream = new MediaStream();
  }

  /** @param {Kind} kind @returns {MediaStreamTrack | undefined} */
  track(kind) {
    return this.stream.getTracks().find((track) => track.kind === kind);
  }

  /**
   * Asks for what is off, in one question where there are two; one that can't be had does not stop the other.
   * @param {Kind[]} kinds
   */
  async start(...kinds) {
    const wanted = kinds.filter((kind) => !this.track(kind) && !this.#asked.has(kind));
    if (wanted.length === 0) return;
    if (!navigator.mediaDevices) return this.#refuse("insecure");
    for (const kind of wanted) this.#asked.add(kind);
    try {
      await this.#ask(wanted).catch(async (error) => {
        if (wanted.length === 1 || error.name === "NotAllowedError") throw error;
        const each = await Promise.allSettled(wanted.map((kind) => this.#ask([kind])));
        const refused = each.find((result) => result.status === "rejected");
        if (refused) throw refused.reason;
      });
    } catch (error) {
      this.#refuse(REFUSALS[/** @type {Error} */ (error).name] ?? "failed");
    } finally {
      for (const kind of wanted) this.#asked.delete(kind);
    }
  }

  /** Turns off, so that the light of the camera goes out. @param {Kind[]} kinds */
  stop(...kinds) {
    for (const kind of kinds) {
      this.#asked.delete(kind);
      const track = this.track(kind);
      if (!track) continue;
      track.stop();
      this.stream.removeTrack(track);
      this.dispatchEvent(new Event("change"));
    }
  }

  /** @param {Kind[]} kinds */
  async #ask(kinds) {
    const wants = { audio: kinds.includes("audio"), video: kinds.includes("video") && VIDEO };
    const stream = await navigator.mediaDevices.getUserMedia(wants);
    for (const track of stream.getTracks()) this.#keep(track);
  }

  /** @param {MediaStreamTrack} track */
  #keep(track) {
    const kind = /** @type {Kind} */ (track.kind);
    // Turned off again before the browser answered.
    if (!this.#asked.has(kind)) return track.stop();
    // Unplugged, or taken back in the browser's own controls.
    track.onended = () => this.stop(kind);
    this.stream.addTrack(track);
    this.dispatchEvent(new Event("change"));
  }

  /** @param {Refusal} why */
  #refuse(why) {
    this.dispatchEvent(new CustomEvent("refused", { detail: why }));
  }
}
