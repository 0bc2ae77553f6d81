/** A place in a room, at a box that is played here: how long who has an invite waits for it to fit. */

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Membership } from "../../src/web/membership.js";

/** @type {Socket[]} */
const sockets = [];
/** What the box says to whoever joins. @type {object} */
let answer = {};

class Socket {
  static CONNECTING = 0;
  static OPEN = 1;
  readyState = Socket.OPEN;
  /** @type {(() => void) | null} */
  onopen = null;
  /** @type {((event: {data: string}) => void) | null} */
  onmessage = null;
  /** @type {(() => void) | null} */
  onclose = null;
  constructor() {
    sockets.push(this);
    setTimeout(() => this.onopen?.(), 1);
  }
  /** @param {string} text */
  send(text) {
    if (JSON.parse(text).type === "join") this.onmessage?.({ data: JSON.stringify(answer) });
  }
  close() {
    setTimeout(() => this.onclose?.());
  }
}

test("an invite that does not fit is tried again for a minute by who was in the room, and not at all by who was not", () => {
  Object.assign(globalThis, { WebSocket: Socket });
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  mock.method(performance, "now", () => Date.now());
  const refusal = { type: "error", id: "bad-invite", text: "no", fatal: false };
  const joined = { type: "joined", resume: {} };
  try {
    for (const entered of [false, true]) {
      /** @type {string[]} */
      const told = [];
      let overAt = 0;
      const membership = new Membership("wss://box/ws", {
        hello: () => ({}),
        heard: () => {},
        back: () => {},
        gone: () => {},
        away: ({ id }) => told.push(id),
        over: ({ id }) => {
          told.push(id);
          overAt = Date.now();
        },
      });
      answer = entered ? joined : refusal;
      membership.dial();
      mock.timers.tick(1);
      const start = Date.now();
      answer = refusal;
      // The box is gone, and comes back with nothing.
      if (entered) sockets.at(-1)?.onclose?.();
      for (let i = 0; i < 200; i++) mock.timers.tick(1_000);
      assert.deepEqual(told.at(-1), "bad-invite");
      assert.deepEqual(told.slice(0, -1), entered ? ["unreachable", ...told.slice(1, -1).map(() => "bad-invite")] : []);
      const waited = overAt - start;
      assert.ok(entered ? waited > 55_000 && waited < 80_000 && told.length > 5 : waited < 10, `${waited} ms, ${told.length} attempts`);
    }
  } finally {
    mock.timers.reset();
    mock.restoreAll();
  }
});
