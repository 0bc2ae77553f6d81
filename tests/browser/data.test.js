/** Text and files between people in a room: they arrive whole, are refused and called off, and what strangers send is bounded. */

import assert from "node:assert/strict";
import { bothBrowsers } from "./support/both.js";
import { members } from "./support/member.js";

/** @import { Member } from "./support/member.js" */

const inEach = bothBrowsers();
const two = members(inEach, "Anna", "Ben");

/** Both in the room, with a channel between them. @param {string} room @param {Member} anna @param {Member} ben @param {object} [options] of Ben */
async function meet(room, anna, ben, options = {}) {
  await anna.enters(room);
  await ben.enters(room, options);
  for (const member of [anna, ben]) await member.until("can write", () => me.other?.chats);
}

/** Has the page keep the files that it is offered, and act on them. @param {Member} member @param {"accept" | "refuse" | "wait"} act */
async function receive(member, act) {
  await member.page.evaluate((act) => {
    me.files = [];
    me.room.addEventListener("file", async (/** @type {any} */ { detail: { transfer } }) => {
      const entry = { transfer, text: "", error: "" };
      me.files.push(entry);
      if (act === "refuse") transfer.refuse();
      if (act !== "accept") return;
      await transfer.accept().then(
        async (/** @type {Blob} */ blob) => (entry.text = `${blob.size} ${blob.type} ${await digest(blob)}`),
        (/** @type {Error} */ error) => (entry.error = error.name),
      );
    });
    /** @param {Blob} blob */
    async function digest(blob) {
      return [...new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()))].join();
    }
  }, act);
}

/** Offers bytes that differ from each other. @param {Member} member @param {number} size @param {string} [name] */
async function offer(member, size, name = "picture.bin") {
  await member.page.evaluate((size, name) => {
    const bytes = new Uint8Array(size).map((_, i) => (i * 31 + (i >> 8)) % 251);
    me.file = new File([bytes], name, { type: "image/png" });
    [me.transfer] = me.room.sendFile(me.file);
    me.progress = [];
    me.transfer.addEventListener("progress", () => me.progress.push(me.transfer.moved));
  }, size, name);
}

/** @param {Member} member @param {string} state */
async function sent(member, state) {
  await member.until(`has a transfer that is ${state}`, (state) => me.transfer.state === state, state);
  return member.page.evaluate(() => me.transfer.reason);
}

two("text goes both ways, and what is no text of ours is passed over", async (room, anna, ben) => {
  await meet(room, anna, ben);
  assert.equal(await anna.page.evaluate(() => me.room.say("Hello <b>Ben</b>")), true);
  await ben.until("reads it", () => me.heard("chat")[0]?.text === "Hello <b>Ben</b>" && me.heard("chat")[0].peer === me.other.id);
  await anna.page.evaluate(() => {
    // A stranger may send anything over the channel that carries the text.
    const send = /** @type {any} */ (RTCDataChannel.prototype.send);
    RTCDataChannel.prototype.send = function (/** @type {any} */ data) {
      if (this.label !== "lanturn" || !data.includes("through")) return send.call(this, data);
      for (const junk of ["{", "null", "7", '{"type":"chat"}', '{"type":"chat","text":7}', JSON.stringify({ type: "chat", text: "x".repeat(4_001) }), "y".repeat(30_000)]) {
        send.call(this, junk);
      }
      send.call(this, new ArrayBuffer(8));
      send.call(this, data);
    };
    me.room.say("through", me.other.id);
  });
  await ben.until("reads what comes after", () => me.heard("chat").at(-1)?.text === "through");
  assert.equal(await ben.page.evaluate(() => me.heard("chat").length), 2);
  const long = await anna.page.evaluate(() => {
    const tried = ["", "x".repeat(4_001)].map((text) => {
      try {
        return me.room.say(text);
      } catch (error) {
        return /** @type {Error} */ (error).name;
      }
    });
    return [...tried, me.room.say("nobody", "no such id")];
  });
  assert.deepEqual(long, ["RangeError", "RangeError", false]);
});

two("two viewers, who have no call, can write to each other", async (room, anna, ben) => {
  await anna.enters(room, { role: "viewer" });
  await ben.enters(room, { role: "viewer" });
  await anna.until("sees Ben", () => me.other?.state === "idle");
  assert.equal(await anna.page.evaluate(() => me.room.say("Hello")), true);
  await ben.until("reads it", () => me.heard("chat")[0]?.text === "Hello");
});

two("a file arrives whole, with its progress, and what waits to be sent is bounded", async (room, anna, ben) => {
  await meet(room, anna, ben);
  await receive(ben, "accept");
  await anna.page.evaluate(() => {
    me.most = 0;
    const send = /** @type {any} */ (RTCDataChannel.prototype.send);
    RTCDataChannel.prototype.send = function (/** @type {any} */ data) {
      send.call(this, data);
      me.most = Math.max(me.most, this.bufferedAmount);
    };
  });
  const size = 8_000_000;
  await offer(anna, size, "../../e\u202Evil/pi\u0000cture.png");
  await sent(anna, "done");
  const whole = await anna.page.evaluate(async () => {
    const digest = await crypto.subtle.digest("SHA-256", await me.file.arrayBuffer());
    return { text: `${me.file.size} ${me.file.type} ${new Uint8Array(digest).join()}`, progress: me.progress, most: me.most };
  });
  await ben.until("has it", () => me.files[0]?.text);
  const [got] = await ben.page.evaluate(() => me.files.map((/** @type {any} */ { text, transfer: { name, state, moved } }) => ({ text, name, state, moved })));
  assert.deepEqual(got, { text: whole.text, name: ".._.._e_vil_pi_cture.png", state: "done", moved: size });
  assert.ok(whole.progress.length > 10, `progress was told ${whole.progress.length} times`);
  assert.deepEqual(whole.progress, [...whole.progress].sort((a, b) => a - b));
  assert.ok(whole.most > 0 && whole.most <= 1024 * 1024 + 64 * 1024, `${whole.most} bytes waited`);
  await offer(anna, 0);
  await sent(anna, "done");
});

two("a file can be refused, called off from either side, and is too large or one too many", async (room, anna, ben) => {
  await meet(room, anna, ben, { maxFileBytes: 50_000_000 });
  await receive(ben, "wait");
  await offer(anna, 1_000);
  await ben.until("is offered it", () => me.files.length === 1);
  await ben.page.evaluate(() => me.files[0].transfer.refuse());
  assert.equal(await sent(anna, "refused"), "refused");
  await anna.page.evaluate(() => ([me.transfer] = me.room.sendFile(Object.defineProperty(new File([], "huge"), "size", { value: 50_000_001 }))));
  assert.equal(await sent(anna, "refused"), "too-large");
  assert.equal(await ben.page.evaluate(() => me.files.length), 1, "nobody is asked");
  for (const who of [anna, ben]) {
    await offer(anna, 40_000_000);
    await ben.until("is offered it", () => me.files.at(-1).transfer.state === "offered");
    await ben.page.evaluate(() => {
      const entry = me.files.at(-1);
      entry.transfer.accept().catch((/** @type {Error} */ error) => (entry.error = error.name));
    });
    await anna.until("has sent some", () => me.progress.length > 0);
    await who.page.evaluate(() => (me.files?.at(-1).transfer ?? me.transfer).cancel());
    assert.equal(await sent(anna, "cancelled"), "");
    await ben.until("knows", () => me.files.at(-1).transfer.state === "cancelled" && me.files.at(-1).error === "AbortError");
  }
  await offer(anna, 40_000_000);
  await ben.until("is offered another", () => me.files.at(-1).transfer.state === "offered");
  await ben.page.evaluate(() => {
    const { transfer } = me.files.at(-1);
    transfer.accept().catch((/** @type {Error} */ error) => (me.refusal = error.name));
    transfer.refuse();
  });
  assert.equal(await sent(anna, "cancelled"), "");
  assert.equal(await ben.page.evaluate(() => me.refusal), "AbortError", "who refuses what comes calls it off");
  await anna.page.evaluate(() => (me.many = Array.from({ length: 9 }, (_, i) => me.room.sendFile(new File(["x"], `${i}`))[0])));
  await anna.until("is told that it is too much", () => me.many.some((/** @type {any} */ { reason }) => reason === "too-many"));
  assert.equal(await ben.page.evaluate(() => me.files.filter((/** @type {any} */ { transfer }) => transfer.state === "offered").length), 8);
  await anna.page.evaluate(() => me.room.leave());
  // By the end of the channels or by the box, whichever is sooner.
  await ben.until("knows that none will come", () => me.files.slice(-8).every((/** @type {any} */ { transfer }) => ["failed", "cancelled"].includes(transfer.state)));
});

two("who sends more than was said, or nothing, or no header, sends in vain", async (room, anna, ben) => {
  await meet(room, anna, ben);
  await receive(ben, "accept");
  await anna.page.evaluate(async () => {
    const header = (/** @type {number} */ size) => JSON.stringify({ name: "liar", size, type: "" });
    for (const [lie, bytes] of /** @type {[string, number][]} */ ([[header(10), 11], [header(10), 0], ["no header", 0], [header(-1), 0]])) {
      const channel = me.other.connection.createDataChannel("file");
      await new Promise((resolve) => (channel.onopen = resolve));
      const end = new Promise((resolve) => (channel.onclose = resolve));
      channel.onmessage = () => channel.send(new Uint8Array(bytes));
      channel.send(lie);
      await end;
    }
  });
  const files = await ben.page.evaluate(() => me.files.map((/** @type {any} */ { error, transfer: { state, reason } }) => ({ error, state, reason })));
  const broken = { error: "AbortError", state: "failed", reason: "broken" };
  assert.deepEqual(files, [broken, broken]);
});

two("a file comes whole in the smallest pieces, and who does not close a channel keeps it for 10 s", async (room, anna, ben) => {
  await meet(room, anna, ben, { maxFileBytes: 2_000 });
  await receive(ben, "accept");
  const rest = await anna.page.evaluate(async () => {
    const channels = Array.from({ length: 17 }, () => me.other.connection.createDataChannel("file"));
    const ends = channels.map((channel) => new Promise((resolve) => (channel.onclose = () => resolve(performance.now()))));
    // One too many may be closed before it has opened.
    await Promise.all(channels.map((channel, i) => Promise.race([ends[i], new Promise((resolve) => (channel.onopen = resolve))])));
    const began = performance.now();
    const [first, ...others] = channels;
    first.onmessage = (/** @type {any} */ { data }) => {
      if (JSON.parse(data).type === "accept") for (let i = 0; i < 2_000; i++) first.send(new Uint8Array([i % 251]));
    };
    first.send(JSON.stringify({ name: "crumbs", size: 2_000, type: "" }));
    for (const other of others) if (other.readyState === "open") other.send(JSON.stringify({ name: "huge", size: 2_001, type: "" }));
    const times = (await Promise.all(ends)).map((at) => at - began);
    return times.map((ms) => (ms < 5_000 ? "soon" : ms < 20_000 ? "late" : "never")).sort();
  });
  assert.deepEqual(rest, [...Array(16).fill("late"), "soon"]);
  await ben.until("has it", () => me.files[0]?.text);
  const [length, ...files] = await ben.page.evaluate(() => [me.files.length, me.files[0].text.split(" ")[0], me.files[0].transfer.state]);
  assert.deepEqual([length, ...files], [1, "2000", "done"]);
});

two("a file that stops coming is given up after a minute", async (room, anna, ben) => {
  // A minute of the module's takes half a second here.
  await ben.page.evaluate(() => {
    const set = globalThis.setTimeout;
    globalThis.setTimeout = /** @type {any} */ ((/** @type {() => void} */ act, /** @type {number} */ ms) => set(act, ms === 60_000 ? 500 : ms));
  });
  await meet(room, anna, ben);
  await receive(ben, "accept");
  await anna.page.evaluate(async () => {
    const channel = me.other.connection.createDataChannel("file");
    await new Promise((resolve) => (channel.onopen = resolve));
    channel.onmessage = () => channel.send(new Uint8Array(5));
    const end = new Promise((resolve) => (channel.onclose = resolve));
    channel.send(JSON.stringify({ name: "half", size: 10, type: "" }));
    await end;
  });
  const [file] = await ben.page.evaluate(() => me.files.map((/** @type {any} */ { error, transfer: { state, reason, moved } }) => ({ error, state, reason, moved })));
  assert.deepEqual(file, { error: "AbortError", state: "failed", reason: "lost", moved: 5 });
});

two("a sender who calls a file off need not close the channel", async (room, anna, ben) => {
  await meet(room, anna, ben);
  await receive(ben, "accept");
  await anna.page.evaluate(async () => {
    const channel = me.other.connection.createDataChannel("file");
    await new Promise((resolve) => (channel.onopen = resolve));
    channel.onmessage = (/** @type {MessageEvent} */ { data }) => {
      if (JSON.parse(data).type !== "accept") return;
      channel.send(new Uint8Array(5));
      channel.send('{"type":"cancel"}');
    };
    const end = new Promise((resolve) => (channel.onclose = resolve));
    channel.send(JSON.stringify({ name: "half", size: 10, type: "" }));
    await end;
  });
  const [file] = await ben.page.evaluate(() => me.files.map((/** @type {any} */ { error, transfer: { state, moved } }) => ({ error, state, moved })));
  assert.deepEqual(file, { error: "AbortError", state: "cancelled", moved: 5 });
});
