/** socket.io-client 2 and 4, as they come from npm, walk the codelab's dialect over each transport. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { io as io4 } from "socket.io-client";
import io2 from "socket.io-client-2";
import { Box } from "../../browser/support/box.js";

const CASE = { timeout: 60_000 };
const STEP_MS = 5_000;
/** Who is not there any more is missed within this. */
const MISSED_MS = 10_000;

/** @type {Box} */
let box;

before(async () => {
  box = await Box.start();
}, CASE);

after(() => box?.stop());

/** Everything that the server said, in order, and not looked at yet. */
class Page {
  /** @type {[string, ...any[]][]} */
  #said = [];
  #news = new EventTarget();

  /** @param {any} socket */
  constructor(socket) {
    this.socket = socket;
    for (const event of ["created", "joined", "join", "ready", "full", "message", "bye", "ipaddr"]) {
      socket.on(event, (/** @type {any[]} */ ...args) => {
        this.#said.push([event, ...args]);
        this.#news.dispatchEvent(new Event("said"));
      });
    }
  }

  /** @param {Function} io @param {string[] | undefined} transports */
  static async open(io, transports) {
    const page = new Page(io(box.url, { transports, ca: readFileSync(box.authority), forceNew: true }));
    await new Promise((resolve, reject) => {
      page.socket.once("connect", resolve);
      page.socket.once("connect_error", reject);
    });
    return page;
  }

  /** The next thing said. @param {number} [within] ms @returns {Promise<[string, ...any[]]>} */
  async hears(within = STEP_MS) {
    while (this.#said.length === 0) await once(this.#news, "said", { signal: AbortSignal.timeout(within) });
    return /** @type {[string, ...any[]]} */ (this.#said.shift());
  }

  /** How its packets go: "polling" or "websocket". */
  get transport() {
    return this.socket.io.engine.transport.name;
  }

  /** @param {[string, ...any[]][]} all */
  async hearsAll(...all) {
    for (const [i, expected] of all.entries()) {
      assert.deepEqual(await this.hears(), expected, `number ${i} of what is said`);
    }
  }
}

/** @type {[string, Function][]} */
const CLIENTS = [["socket.io-client 2", io2], ["socket.io-client 4", io4]];
/** @type {[string, string[] | undefined][]} */
const TRANSPORTS = [["polling", ["polling"]], ["websocket", ["websocket"]], ["polling, then websocket", undefined]];

const OFFER = { type: "offer", sdp: "v=0\r\n" };
const ANSWER = { type: "answer", sdp: "v=0\r\n" };
const CANDIDATE = {
  type: "candidate",
  label: 0,
  id: "0",
  candidate: "candidate:1 1 udp 2113937151 192.168.1.7 51000 typ host",
};

for (const [client, io] of CLIENTS) {
  for (const [name, transports] of TRANSPORTS) {
    test(`${client} over ${name}`, CASE, async () => {
      const room = `Kitchen of ${client} over ${name}`;
      const [anna, ben, eve] = await Promise.all([1, 2, 3].map(() => Page.open(io, transports)));
      try {
        anna.socket.emit("ipaddr");
        await anna.hearsAll(["ipaddr", "127.0.0.1"]);

        anna.socket.emit("create or join", room);
        await anna.hearsAll(["created", room, anna.socket.id]);
        ben.socket.emit("create or join", room);
        await ben.hearsAll(["joined", room, ben.socket.id], ["ready"]);
        await anna.hearsAll(["join", room], ["ready"], ["message", "got user media"]);
        eve.socket.emit("create or join", room);
        await eve.hearsAll(["full", room]);

        for (const words of ["got user media", { odd: [1, "é😀", null] }, 7, null]) {
          ben.socket.emit("message", words);
          await anna.hearsAll(["message", words]);
        }
        anna.socket.emit("message", OFFER);
        await ben.hearsAll(["message", OFFER]);
        ben.socket.emit("message", ANSWER);
        for (let label = 0; label < 20; label++) ben.socket.emit("message", { ...CANDIDATE, label });
        const candidates = Array.from({ length: 20 }, (_, label) => ["message", { ...CANDIDATE, label }]);
        await anna.hearsAll(["message", ANSWER], .../** @type {[string, any][]} */ (candidates));

        ben.socket.emit("message", "bye");
        await anna.hearsAll(["bye", room], ["message", "bye"]);
        eve.socket.emit("create or join", room);
        await eve.hearsAll(["joined", room, eve.socket.id], ["ready"]);
        await anna.hearsAll(["created", room, anna.socket.id], ["join", room], ["ready"], ["message", "got user media"]);
        eve.socket.disconnect();
        await anna.hearsAll(["bye", room], ["message", "bye"]);
        const expected = transports?.[0] ?? "websocket";
        for (const end = Date.now() + STEP_MS; anna.transport !== expected && Date.now() < end; ) await pause(10);
        assert.equal(anna.transport, expected);
      } finally {
        for (const page of [anna, ben, eve]) page.socket.disconnect();
      }
    });
  }
}

/** Characters of more bytes, code units or code points than one, and what looks like the length of a packet. */
const WORDS = ["안녕하세요, 들려요? 1:2", "\u1112\u1161\u11ab\u1100\u1173\u11af", "👋🏽 12:😀", "👨‍👩‍👧 🇰🇷", "𝕊 e\u0301 é", { "이름": ["😀", null] }];

test("each character counts as JavaScript counts it, in a payload of several packets", CASE, async () => {
  const [anna, ben] = await Promise.all([1, 2].map(() => Page.open(io2, ["polling"])));
  try {
    const room = "거실 😀";
    anna.socket.emit("create or join", room);
    await anna.hearsAll(["created", room, anna.socket.id]);
    ben.socket.emit("create or join", room);
    await ben.hearsAll(["joined", room, ben.socket.id], ["ready"]);
    await anna.hearsAll(["join", room], ["ready"], ["message", "got user media"]);
    for (const [from, to] of [[anna, ben], [ben, anna]]) {
      const [sent, received] = [from.socket.io.engine, to.socket.io.engine.transport];
      let [posted, polled, arrived] = [0, 0, 0];
      sent.on("flush", () => (posted = Math.max(posted, sent.prevBufferLen)));
      received.on("packet", () => arrived++);
      received.on("pollComplete", () => ([polled, arrived] = [Math.max(polled, arrived), 0]));
      // How many a poll is answered with is not for the client to say: once more than one at least.
      for (const end = Date.now() + STEP_MS; posted < 2 || polled < 2; ) {
        assert.ok(Date.now() < end, `${posted} packets in a POST, ${polled} in the answer to a poll`);
        for (const words of WORDS) from.socket.emit("message", words);
        await to.hearsAll(.../** @type {[string, any][]} */ (WORDS.map((words) => ["message", words])));
      }
    }
    assert.deepEqual([anna.transport, ben.transport], ["polling", "polling"]);
  } finally {
    for (const page of [anna, ben]) page.socket.disconnect();
  }
});

test("who falls silent is missed", CASE, async () => {
  const cases = CLIENTS.flatMap(([client, io]) => ["polling", "websocket"].map((transport) => ({ client, io, transport })));
  await Promise.all(cases.map(async ({ client, io, transport }) => {
    const room = `Cellar of ${client} over ${transport}`;
    const anna = await Page.open(io4, ["websocket"]);
    const ben = await Page.open(io, [transport]);
    try {
      anna.socket.emit("create or join", room);
      await anna.hearsAll(["created", room, anna.socket.id]);
      ben.socket.emit("create or join", room);
      await ben.hearsAll(["joined", room, ben.socket.id], ["ready"]);
      await anna.hearsAll(["join", room], ["ready"], ["message", "got user media"]);
      // As if its network were gone: it says nothing more, and asks for nothing.
      const { engine } = ben.socket.io;
      for (const carrier of [engine, engine.transport]) carrier.write = carrier.send = carrier.poll = () => {};
      const start = Date.now();
      assert.deepEqual(await anna.hears(MISSED_MS), ["bye", room]);
      assert.ok(Date.now() - start > 1_000, "it was not for a goodbye");
    } finally {
      for (const page of [anna, ben]) page.socket.disconnect();
    }
  }));
});

test("who does not read is closed, and comes back when it reads again", CASE, async () => {
  await Promise.all(CLIENTS.map(async ([client, io]) => {
    const room = `Attic of ${client}`;
    const [anna, ben] = await Promise.all([1, 2].map(() => Page.open(io, ["websocket"])));
    try {
      anna.socket.emit("create or join", room);
      await anna.hearsAll(["created", room, anna.socket.id]);
      ben.socket.emit("create or join", room);
      await ben.hearsAll(["joined", room, ben.socket.id], ["ready"]);
      await anna.hearsAll(["join", room], ["ready"], ["message", "got user media"]);
      // Not a byte is read of what comes from here on.
      const stream = ben.socket.io.engine.transport.ws._socket;
      stream.pause();
      const closed = anna.hears(30_000);
      let isOver = false;
      closed.finally(() => (isOver = true)).catch(() => {});
      while (!isOver) {
        anna.socket.emit("message", { filler: "x".repeat(60_000) });
        await pause(50);
      }
      assert.deepEqual(await closed, ["bye", room]);
      const back = once(ben.socket.io, "reconnect", { signal: AbortSignal.timeout(STEP_MS * 2) });
      stream.resume();
      await back;
      // What it had been sent before it was closed.
      while ((await ben.hears())[1]?.filler === undefined);
      ben.socket.emit("create or join", `${room} again`);
      for (let heard; heard?.[0] !== "created"; ) heard = await ben.hears();
    } finally {
      for (const page of [anna, ben]) page.socket.disconnect();
    }
  }));
});

test("a program meets a page", CASE, async () => {
  const page = await Page.open(io2, ["polling"]);
  const [url, authority] = [box.url, box.authority];
  const io = io4;
  const socket = io(url, { ca: readFileSync(authority) });
  socket.emit("create or join", "kitchen");
  const program = new Page(socket);
  try {
    assert.equal((await program.hears())[0], "created");
    page.socket.emit("create or join", " KITCHEN ");
    await program.hearsAll(["join", "kitchen"], ["ready"]);
    await page.hearsAll(["joined", " KITCHEN ", page.socket.id], ["ready"]);
  } finally {
    for (const each of [page, program]) each.socket.disconnect();
  }
});
