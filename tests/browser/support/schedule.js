/** The sides of a schedule, in a page. */

/** @typedef {{here: boolean, sends: string[]}} Standing */

const END_MS = 40_000;

/** Runs in the page, and leaves `side(room, number)` there. @param {number} endMs */
async function inPage(endMs) {
  const { join } = await import(/** @type {string} */ ("/lanturn.js"));
  const wait = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const source = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 160, height: 120, frameRate: 10 } });

  class Side {
    /** @type {any} */
    room = null;
    /** @type {any} */
    joining = null;
    life = new AbortController();
    /** @type {Set<string>} */
    on = new Set();
    /** Out of the room for good. */
    gone = false;
    /** @type {string[]} */
    log = [];

    constructor(/** @type {string} */ name, /** @type {number} */ number) {
      this.name = name;
      this.number = number;
      this.tracks = source.getTracks().map((track) => track.clone());
    }
    stream() {
      return new MediaStream(this.tracks.filter((track) => this.on.has(track.kind)));
    }
    join() {
      void this.attempt();
    }
    /** @returns {Promise<unknown>} */
    attempt() {
      const life = (this.life = new AbortController());
      const options = { name: String(this.number), stream: this.stream(), signal: life.signal };
      this.joining = join(undefined, this.name, options).then(
        async (/** @type {any} */ room) => {
          this.room = room;
          room.addEventListener("closed", () => (this.gone ||= this.life === life));
          for (const type of ["away", "back", "joined", "closed", "error", "peer", "peer-left", "presence", "state"]) {
            room.addEventListener(type, (/** @type {any} */ { detail }) => this.note(type, detail));
          }
          await room.setStream(this.stream());
        },
        // Cut off before it was in: a person would press the button again.
        () => (this.life === life ? this.attempt() : undefined),
      );
      return this.joining;
    }
    /** @param {string} type @param {any} detail */
    note(type, { peer, reason, id, text }) {
      this.log.push([type, peer?.id?.slice(0, 4), reason ?? id ?? peer?.state, text].filter(Boolean).join(" "));
    }
    /** @param {string} kind */
    toggle(kind) {
      if (!this.on.delete(kind)) this.on.add(kind);
      void this.room?.setStream(this.stream());
    }
    camera() {
      this.toggle("video");
    }
    offer() {
      this.toggle("audio");
    }
    flicker() {
      for (let i = 0; i < 5; i++) this.toggle("video");
    }
    restart() {
      for (const peer of this.room?.peers.values() ?? []) peer.connection.restartIce();
    }
    /** As a page does that is loaded again; with the wire cut, as after a crash, nobody is told. */
    reload() {
      if (!this.joining) return;
      const before = this.life;
      this.join();
      before.abort();
    }
    async leave() {
      await this.joining;
      this.room.leave();
    }
    /** @returns {Promise<Standing>} */
    async standing() {
      const { life } = this;
      await this.joining;
      if (this.life !== life) return this.standing();
      return { here: !this.gone, sends: [...this.on].sort() };
    }
    /** @param {Standing} other @returns {string | null} what is not as it should be */
    wrong(other) {
      const { room } = this;
      if (this.gone) return room.peers.size === 0 ? null : "left with peers";
      const peers = [...room.peers.values()];
      if (peers.length !== (other.here ? 1 : 0)) return `has ${peers.length} peers`;
      for (const { state, stream, connection } of peers) {
        const heard = stream.getTracks().map((/** @type {any} */ track) => track.kind).sort();
        if (state !== "connected" || connection.signalingState !== "stable") return `${state}, ${connection.signalingState}`;
        if (String(heard) !== String(other.sends)) return `hears ${heard}, not ${other.sends}`;
      }
      return null;
    }
    /** @returns {Promise<string | null>} what does not come, though it is sent */
    async still() {
      const [peer] = this.gone ? [] : [...this.room.peers.values()];
      for (const track of peer?.stream.getTracks() ?? []) {
        const packets = async () => {
          let sum = 0;
          // Firefox never answers for a connection that closes meanwhile.
          const report = await Promise.race([peer.connection.getStats(), wait(2_000)]);
          report?.forEach((/** @type {any} */ entry) => {
            if (entry.type === "inbound-rtp" && entry.kind === track.kind) sum += entry.packetsReceived;
          });
          return sum;
        };
        const before = await packets();
        await wait(200);
        if ((await packets()) === before) return `no ${track.kind} comes`;
      }
      return null;
    }
    /** @param {Standing} other @returns {Promise<string | null>} how it is stuck */
    async end(other) {
      const until = Date.now() + endMs;
      let wrong = null;
      do {
        await wait(50);
        wrong = this.wrong(other) ?? (await this.still());
      } while (wrong !== null && Date.now() < until);
      return wrong && `${wrong}; ${this.log.slice(-25).join(", ")}`;
    }
    /** @returns {{resumed: number, renewed: number}} how often a connection was resumed, and a call begun anew */
    close() {
      const renewed = [...(this.room?.peers.values() ?? [])].reduce((sum, peer) => sum + peer.call, 0);
      this.room?.leave();
      for (const track of this.tracks) track.stop();
      return { resumed: this.log.filter((line) => line === "back").length, renewed };
    }
  }

  /** @type {Map<string, Side>} */
  const sides = new Map();
  /** @type {any} */ (globalThis).side = (/** @type {string} */ name, /** @type {number} */ number) => {
    const key = `${name} ${number}`;
    if (!sides.has(key)) sides.set(key, new Side(name, number));
    return sides.get(key);
  };
}

/** @param {import("puppeteer-core").Page} page */
export async function prepare(page) {
  await page.evaluate(inPage, END_MS);
}
