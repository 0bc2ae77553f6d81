/** One WebSocket to the box: opened or given up in time, and watched by heartbeats. Used through lanturn.js. */

/** @typedef {{id: string, text: string}} Reason */

const ANSWER_WITHIN_MS = 10_000;
/** A connection that is dead is found within 10 s. */
const PING_EVERY_MS = 2_000;
const SILENT_MS = 7_500;
const PROBE_MS = 3_000;
/** @type {Reason} */
const LATE = { id: "timeout", text: "The box did not answer in time." };
/** @type {Reason} */
const LOST = { id: "unreachable", text: "The connection to the box was lost." };

/** Calls `opened`, then `heard` for each message, and last `lost`, once. */
export class Line {
  #socket;
  #handlers;
  #over = false;
  #heardAt = Date.now();
  /** When the first ping went out that nothing has come after yet, or 0. */
  #askedAt = 0;
  #deadline;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #pinging;

  /**
   * @param {string} url
   * @param {{opened: () => void, pinging: () => void, heard: (message: any) => void, lost: (why: Reason) => void}} handlers
   */
  constructor(url, handlers) {
    this.#handlers = handlers;
    this.#socket = new WebSocket(url);
    this.#deadline = setTimeout(() => this.#giveUp(LATE), ANSWER_WITHIN_MS);
    let why = LOST;
    this.#socket.onopen = () => handlers.opened();
    this.#socket.onmessage = (event) => {
      if (this.#over) return;
      this.#heardAt = Date.now();
      this.#askedAt = 0;
      const message = JSON.parse(event.data);
      if (message.type === "error" && message.fatal) why = message;
      handlers.heard(message);
    };
    this.#socket.onclose = () => this.#giveUp(why);
  }

  /** The box has let us in: heartbeats take the place of the deadline. */
  settle() {
    clearTimeout(this.#deadline);
    clearInterval(this.#pinging);
    this.#pinging = setInterval(() => this.#beat(), PING_EVERY_MS);
  }

  /** @param {object} message */
  send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** The network has changed: does the box still hear us? */
  probe() {
    if (!this.#pinging) return;
    const before = Date.now();
    this.#ping();
    setTimeout(() => this.#heardAt < before && this.#giveUp(LATE), PROBE_MS);
  }

  /** For good. @param {Reason} why */
  end(why) {
    this.#socket.close();
    this.#giveUp(why);
  }

  /** @param {Reason} why */
  #giveUp(why) {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#deadline);
    clearInterval(this.#pinging);
    this.#socket.onopen = null;
    // To close a socket is to leave the room, should the box hear of it. What it is to hear of is a `resume` on another.
    if (this.#socket.readyState === WebSocket.CONNECTING) this.#socket.close();
    this.#handlers.lost(why);
  }

  #beat() {
    // What counts is a ping that was not answered: a page that was asleep has heard nothing either.
    const now = Date.now();
    const unanswered = this.#askedAt && now - this.#askedAt >= PING_EVERY_MS && now - this.#heardAt >= SILENT_MS;
    if (unanswered) return this.#giveUp(LATE);
    this.#ping();
  }

  #ping() {
    this.#askedAt ||= Date.now();
    this.#handlers.pinging();
    this.send({ type: "ping" });
  }
}
