/**
 * A small client for pages in the style of the WebRTC codelab, which load it as a classic script:
 * ```html
 * <script src="https://box:3478/socket.io/socket.io.js"></script>
 * <script>const socket = io(); socket.emit("create or join", "kitchen");</script>
 * ```
 *
 * It speaks protocol 5 of Socket.IO over Engine.IO 4: by WebSocket or, where that is not let through, by polling. What is
 * emitted while there is no connection is sent once there is one. Events of its own: `connect`; `disconnect` (reason),
 * after which it connects again by itself unless either side meant it; `connect_error` (error).
 *
 * @typedef {(...args: any[]) => void} Listener
 * @typedef {object} Options
 * @property {("websocket" | "polling")[]} [transports] which to try, in this order
 * @property {boolean} [autoConnect] false: only `connect()` does
 * @property {boolean} [reconnection] false: once lost, it stays so
 * @property {number} [reconnectionDelay] before the second attempt, in ms; twice as long before each further one
 * @property {number} [reconnectionDelayMax] but no longer than that
 * @typedef {{send: (packet: string) => void, close: () => void}} Transport carries Engine.IO's packets
 * @typedef {{packet: (packet: string) => void, end: (reason: string) => void}} Ear what a transport tells
 */

"use strict";

(() => {
  const OPEN_WITHIN_MS = 10_000;
  const SEPARATOR = "\x1e";
  /** A browser sends no more than 64 KiB in all for a page that is going. */
  const LAST_WORDS = 16_000;

  // Pages ask their own server, which is where they have this script from.
  const home = document.currentScript instanceof HTMLScriptElement ? document.currentScript.src : location.href;

  /** @param {URL} url @param {Ear} ear @returns {Transport} */
  function websocket(url, ear) {
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    socket.onmessage = ({ data }) => ear.packet(data);
    socket.onclose = () => ear.end("transport close");
    return { send: (packet) => socket.send(packet), close: () => socket.close() };
  }

  /** @param {URL} url @param {Ear} ear @returns {Transport} */
  function polling(url, ear) {
    const end = new AbortController();
    let over = false;
    /** @type {string[]} */
    let waiting = [];
    /** @type {Promise<void> | undefined} */
    let posting;
    let longest = Infinity;
    const ask = async (/** @type {RequestInit} */ init) => {
      const answer = await fetch(url, { credentials: "omit", ...init });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      return answer.text();
    };
    const lost = () => over || ear.end("transport error");
    const poll = async () => {
      while (!over) {
        for (const packet of (await ask({ signal: end.signal })).split(SEPARATOR)) {
          if (packet[0] === "0") {
            const open = JSON.parse(packet.slice(1));
            url.searchParams.set("sid", open.sid);
            longest = open.maxPayload;
          }
          if (!over) ear.packet(packet);
        }
      }
    };
    const post = async () => {
      while (waiting.length > 0) {
        let body = waiting.shift() ?? "";
        // In UTF-8 a character of a string takes at most three bytes.
        while (waiting.length > 0 && 3 * (body.length + 1 + waiting[0].length) <= longest) body += SEPARATOR + waiting.shift();
        await ask({ method: "POST", body, keepalive: body.length < LAST_WORDS });
      }
      posting = undefined;
    };
    poll().catch(lost);
    return {
      send(packet) {
        waiting.push(packet);
        posting ??= post();
        posting.catch(lost);
      },
      close() {
        over = true;
        waiting = url.searchParams.has("sid") ? ["1"] : [];
        posting ??= post();
        // A poll that is given up ends the session before what was said last has come.
        posting.catch(() => {}).finally(() => end.abort());
      },
    };
  }

  const TRANSPORTS = { websocket, polling };

  class Socket {
    /** The id of this connection, while there is one. @type {string | undefined} */
    id;
    connected = false;
    #url;
    #options;
    /** @type {Map<string, {call: Listener, once: boolean}[]>} */
    #listeners = new Map();
    /** @type {Transport | null} */
    #transport = null;
    /** Events to be sent once connected. @type {string[]} */
    #waiting = [];
    #attempt = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    #timer;

    /** @param {string} url @param {Options} options */
    constructor(url, options) {
      this.#url = url;
      this.#options = options;
      addEventListener("pagehide", () => this.#transport?.close());
      if (options.autoConnect !== false) this.connect();
    }

    /** @param {string} event @param {Listener} call @param {boolean} [once] */
    on(event, call, once = false) {
      this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), { call, once }]);
      return this;
    }

    /** @param {string} event @param {Listener} call */
    once(event, call) {
      return this.on(event, call, true);
    }

    /** Without a listener, every one. @param {string} event @param {Listener} [listener] */
    off(event, listener) {
      const kept = (this.#listeners.get(event) ?? []).filter(({ call }) => listener && call !== listener);
      this.#listeners.set(event, kept);
      return this;
    }

    /** @param {string} event @param {any[]} args */
    emit(event, ...args) {
      const packet = `42${JSON.stringify([event, ...args])}`;
      if (this.connected) this.#transport?.send(packet);
      else this.#waiting.push(packet);
      return this;
    }

    connect() {
      if (!this.#transport) this.#open(this.#options.transports ?? ["websocket", "polling"]);
      return this;
    }

    disconnect() {
      if (this.connected) this.#transport?.send("41");
      this.#end("io client disconnect");
      return this;
    }

    /** @param {any[]} event its name and its arguments */
    #tell([event, ...args]) {
      for (const { call, once } of this.#listeners.get(event) ?? []) {
        if (once) this.off(event, call);
        // One listener's mistake is not another's, and none of the connection.
        try {
          call.apply(this, args);
        } catch (error) {
          reportError(error);
        }
      }
    }

    /** Tries the first of these transports and, if it does not open, the others. @param {("websocket" | "polling")[]} names */
    #open([name, ...others]) {
      clearTimeout(this.#timer);
      const url = new URL("/socket.io/", this.#url);
      url.search = `EIO=4&transport=${name}`;
      let opened = false;
      let patience = OPEN_WITHIN_MS;
      const heard = () => {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => ear.end("ping timeout"), patience);
      };
      const ear = {
        packet: (/** @type {string} */ packet) => {
          if (this.#transport !== transport) return;
          if (packet[0] === "0") {
            const { pingInterval, pingTimeout } = JSON.parse(packet.slice(1));
            opened = true;
            patience = pingInterval + pingTimeout;
            transport.send("40");
          }
          heard();
          this.#receive(packet);
        },
        end: (/** @type {string} */ reason) => {
          if (this.#transport !== transport) return;
          if (opened || others.length === 0) return this.#end(reason);
          transport.close();
          this.#open(others);
        },
      };
      const transport = (this.#transport = TRANSPORTS[name](url, ear));
      heard();
    }

    /** @param {string} packet */
    #receive(packet) {
      const [kind, what] = packet;
      if (kind === "1") this.#end("transport close");
      else if (kind === "2") this.#transport?.send("3");
      else if (kind !== "4") return;
      else if (what === "0") {
        this.id = JSON.parse(packet.slice(2)).sid;
        this.connected = true;
        this.#attempt = 0;
        for (const waiting of this.#waiting.splice(0)) this.#transport?.send(waiting);
        this.#tell(["connect"]);
      } else if (what === "1") this.#end("io server disconnect");
      else if (what === "2") this.#tell(JSON.parse(packet.slice(packet.indexOf("["))));
      else if (what === "4") {
        this.#tell(["connect_error", new Error(JSON.parse(packet.slice(2)).message)]);
        this.#end("io server disconnect");
      }
    }

    /** @param {string} reason */
    #end(reason) {
      clearTimeout(this.#timer);
      const [transport, wasConnected] = [this.#transport, this.connected];
      [this.#transport, this.connected, this.id] = [null, false, undefined];
      transport?.close();
      const meant = reason === "io client disconnect" || reason === "io server disconnect";
      if (!meant && this.#options.reconnection !== false) {
        const { reconnectionDelay = 1000, reconnectionDelayMax = 5000 } = this.#options;
        const most = Math.min(reconnectionDelayMax, reconnectionDelay * 2 ** this.#attempt++);
        // A restarted server is not met by all its pages in the same moment.
        this.#timer = setTimeout(() => this.connect(), most * (0.5 + Math.random() / 2));
      }
      if (wasConnected) this.#tell(["disconnect", reason]);
      else if (!meant) this.#tell(["connect_error", new Error(reason)]);
    }
  }

  /**
   * A connection to a server, by default the one that this script came from.
   * @param {string | Options} [url] @param {Options} [options]
   */
  const io = (url, options) => {
    const [address, rest] = typeof url === "string" ? [url, options] : ["", url];
    return new Socket(new URL(address, home).href, rest ?? {});
  };
  Object.assign(globalThis, { io: Object.assign(io, { connect: io }) });
})();
