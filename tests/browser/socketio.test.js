/** Our own library for Socket.IO, in a page: how it connects, by which way, and how it comes back. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Box } from "./support/box.js";
import { KINDS } from "./support/browsers.js";
import { elsewhere } from "./support/elsewhere.js";
import { explained, Tab, until } from "./support/tab.js";

/** @import { Kind } from "./support/browsers.js" */

const CASE = { timeout: 60_000 };

const there = elsewhere((_, response) => {
  response.setHeader("content-type", "text/html; charset=utf-8");
  response.end(`<!doctype html><link rel="icon" href="data:,"><script src="${there.box.url}/socket.io/socket.io.js"></script>
    <script>
      var told = [];
      function open(options) {
        var socket = io.connect(options);
        for (let event of ["connect", "disconnect", "connect_error", "created", "ipaddr"]) {
          socket.on(event, (...args) => told.push([event, ...args.map(String)]));
        }
        return socket;
      }
    </script>`);
});

/** @param {Kind} kind @param {(tab: Tab, run: (text: string) => Promise<any>) => Promise<void>} story */
function page(kind, story) {
  return async () => {
    const tab = await Tab.open(there.browsers[kind], there.origin, "Anna");
    try {
      await story(tab, (text) => tab.page.evaluate(text));
      await tab.close();
    } catch (error) {
      throw await explained(error, there.box, tab);
    } finally {
      await tab.page.close().catch(() => {});
    }
  };
}

/** @param {(text: string) => Promise<any>} run @param {string} event */
async function hears(run, event) {
  return until(`the page hears ${event}`, () => run(`told.find((each) => each[0] === ${JSON.stringify(event)})`));
}

for (const kind of KINDS) {
  test(`${kind}: it says, hears, and leaves`, CASE, page(kind, async (_, run) => {
    await run(`
      var socket = open();
      var unheard = () => told.push(["unheard"]);
      socket.on("ipaddr", unheard).off("ipaddr", unheard);
      socket.once("ipaddr", () => told.push(["once"]));
      socket.emit("ipaddr");
      socket.emit("ipaddr");
      socket.emit("create or join", "kitchen é😀");`);
    const [, room, id] = await hears(run, "created");
    assert.deepEqual([room, id, true], ["kitchen é😀", await run("socket.id"), await run("socket.connected")]);
    const told = await run("told");
    const names = told.map((/** @type {string[]} */ each) => each[0]);
    assert.deepEqual(names, ["connect", "ipaddr", "once", "ipaddr", "created"]);
    assert.equal(told[1][1], "127.0.0.1");
    await run("socket.disconnect()");
    assert.deepEqual(await hears(run, "disconnect"), ["disconnect", "io client disconnect"]);
    assert.deepEqual([await run("socket.connected"), await run("socket.id === undefined")], [false, true]);
  }));

  test(`${kind}: where no WebSocket gets through, it polls`, CASE, page(kind, async (tab, run) => {
    tab.forgiven = /WebSocket|establish a connection/;
    await run(`
      var sockets = 0;
      var Real = WebSocket;
      globalThis.WebSocket = function() { sockets++; return new Real("wss://localhost:1/"); };
      var socket = open();
      for (let i = 0; i < 100; i++) socket.emit("message", "x".repeat(2000));
      socket.emit("create or join", "attic");`);
    const [, room] = await hears(run, "created");
    assert.deepEqual([room, await run("sockets")], ["attic", 1]);
    // Longer than a ping and its pong.
    await until("it has stayed", () => run(`told.length > 2 || performance.now() > 12_000`), 20_000);
    assert.deepEqual((await run("told")).map((/** @type {string[]} */ each) => each[0]), ["connect", "created"]);
    await run("socket.disconnect()");
  }));

  test(`${kind}: it comes back after the server was gone`, CASE, page(kind, async (tab, run) => {
    tab.forgiven = /./;
    const first = await Box.start({ dir: there.box.dir, env: { LANTURN__ROOMS__ORIGINS: there.origin } });
    const address = first.url.replace("https://localhost", "127.0.0.1");
    await run(`var socket = io("${first.url}", { reconnectionDelay: 100 });
      var times = 0;
      socket.on("connect", () => { times++; socket.emit("create or join", "cellar"); });
      for (let event of ["disconnect", "connect_error", "created"]) socket.on(event, (what) => told.push([event, String(what)]));`);
    await hears(run, "created");
    await first.stop({ keep: true });
    assert.deepEqual(await hears(run, "disconnect"), ["disconnect", "transport close"]);
    await hears(run, "connect_error");
    const env = { LANTURN__ROOMS__ORIGINS: there.origin, LANTURN__LISTEN__ADDRESSES: address };
    const second = await Box.start({ dir: there.box.dir, env });
    try {
      await until("the page is back", () => run(`times === 2 && told.filter((each) => each[0] === "created").length === 2`));
      await run("socket.disconnect()");
    } finally {
      await second.stop({ keep: true });
    }
  }));
}
