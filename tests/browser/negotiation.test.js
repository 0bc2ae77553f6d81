/** The client modules by themselves, in both browsers: crossing offers, early and too many signals, restarts, aborts. */

import assert from "node:assert/strict";
import { bothBrowsers } from "./support/both.js";
import { explained, Tab } from "./support/tab.js";

const inEach = bothBrowsers();

/**
 * A test in a page of each browser, with `globalThis.pair()`: two peers that hear each other late, but in order.
 * @param {string} what @param {(tab: Tab) => Promise<void>} story
 */
function inBoth(what, story) {
  inEach(what, async (box, browser) => {
    const tab = await Tab.open(browser, box.url, "Anna");
    try {
      await tab.page.evaluate(prepare);
      await story(tab);
      await tab.close();
    } catch (error) {
      throw await explained(error, box, tab);
    } finally {
      await tab.page.close().catch(() => {});
    }
  });
}

/** Runs in the page. */
async function prepare() {
  const { Peer } = await import(/** @type {string} */ ("/peer.js"));
  const wait = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));
  /** @type {any} */ (globalThis).pair = () => {
    /** @type {any[]} */
    const errors = [];
    /** @type {any[]} */
    const sent = [];
    /** @type {Record<string, any>} */
    const peers = {};
    /** @type {Record<string, Promise<any>>} */
    const wires = { early: Promise.resolve(), late: Promise.resolve() };
    const make = (/** @type {string} */ self, /** @type {string} */ other) => new Peer(
      { id: self, name: self, polite: self === "late", initiate: self === "late" },
      {},
      {
        signal: (/** @type {object} */ data) => {
          const copy = JSON.parse(JSON.stringify(data));
          sent.push({ self, data: copy });
          wires[other] = wires[other].then(() => wait(Math.random() * 30)).then(() => peers[other].receive(copy));
        },
        tell: (/** @type {string} */ type, /** @type {any} */ detail) => type === "error" && errors.push(detail.text),
        reachable: () => true,
      },
    );
    peers.early = make("early", "late");
    peers.late = make("late", "early");
    const until = async (/** @type {() => boolean} */ met, within = 20_000) => {
      const end = Date.now() + within;
      while (!met()) {
        if (Date.now() > end) throw new Error(`waited in vain; errors: ${errors}`);
        await wait(30);
      }
    };
    return { early: peers.early, late: peers.late, errors, sent, until, wait };
  };
}

inBoth("offers that cross at random end in a call both ways", async (tab) => {
  const end = await tab.page.evaluate(async () => {
    const { early, late, errors, sent, until, wait } = /** @type {any} */ (globalThis).pair();
    const streams = [];
    for (let i = 0; i < 2; i++) streams.push(await navigator.mediaDevices.getUserMedia({ audio: true, video: true }));
    early.start(null);
    late.start(null);
    const flicker = async (/** @type {any} */ peer, /** @type {MediaStream} */ stream) => {
      for (let i = 0; i < 15; i++) {
        await peer.send(i % 2 ? null : stream);
        await wait(Math.random() * 60);
      }
    };
    await Promise.all([flicker(early, streams[0]), flicker(late, streams[1])]);
    const whole = (/** @type {any} */ peer) => peer.stream.getTracks().length === 2 && peer.state === "connected";
    await until(() => whole(early) && whole(late));
    const offers = sent.filter((/** @type {any} */ each) => each.data.description?.type === "offer");
    const sections = early.connection.getTransceivers().length;
    return { errors, sections, offers: new Set(offers.map((/** @type {any} */ each) => each.self)).size };
  });
  assert.deepEqual(end, { errors: [], sections: 2, offers: 2 });
});

inBoth("signals beyond the bound are refused, and the call stands", async (tab) => {
  const { refused, state } = await tab.page.evaluate(async () => {
    const { early, late, errors, until } = /** @type {any} */ (globalThis).pair();
    const candidate = { candidate: "candidate:1 1 udp 1 192.0.2.1 9 typ host", sdpMid: "0", sdpMLineIndex: 0 };
    // Before any description, all at once: 256 may wait to be handled. Of those, the last 128 wait for a description.
    for (let i = 0; i < 300; i++) early.receive({ candidate });
    const refused = errors.length;
    early.start(null);
    late.start(null);
    await until(() => early.state === "connected" && late.state === "connected");
    return { refused, state: early.connection.signalingState };
  });
  assert.deepEqual({ refused, state }, { refused: 44, state: "stable" });
});

inBoth("a call that failed is offered anew, with another ICE session", async (tab) => {
  const names = await tab.page.evaluate(async () => {
    const { early, late, sent, until } = /** @type {any} */ (globalThis).pair();
    early.start(null);
    late.start(null);
    await until(() => early.state === "connected" && late.state === "connected");
    const before = sent.length;
    Object.defineProperty(early.connection, "connectionState", { value: "failed", configurable: true });
    early.connection.onconnectionstatechange();
    if (early.state !== "failed") throw new Error(`it says ${early.state}`);
    const again = () => sent.slice(before).find((/** @type {any} */ each) => each.data.description?.type === "answer");
    await until(() => Boolean(again()));
    delete early.connection.connectionState;
    const ufrag = (/** @type {any} */ each) => each.data.description.sdp.match(/a=ice-ufrag:(\S+)/)[1];
    const described = sent.filter((/** @type {any} */ each) => each.data.description);
    return described.map(ufrag);
  });
  assert.equal(new Set(names).size, 4, `two offers and two answers, each of a session of its own: ${names}`);
});

inBoth("an offer that was lost is said again, and an answer to an earlier one is passed over", async (tab) => {
  const end = await tab.page.evaluate(async () => {
    const { early, late, errors, sent, until } = /** @type {any} */ (globalThis).pair();
    const receive = early.receive.bind(early);
    // Lost, as when too much waits for somebody who is away.
    early.receive = (/** @type {any} */ data) => (early.receive = receive) && data;
    early.start(null);
    late.start(await navigator.mediaDevices.getUserMedia({ audio: true, video: true }));
    await until(() => early.state === "connected" && early.stream.getTracks().length === 2);
    const [first, second] = sent.filter((/** @type {any} */ each) => each.data.description?.type === "offer");
    const stale = sent.find((/** @type {any} */ each) => each.data.description?.type === "answer").data;
    early.receive = () => {};
    await late.send(null);
    const waits = () => late.connection.signalingState === "have-local-offer";
    await until(() => waits() && sent.some((/** @type {any} */ each) => each.data.offer > first.data.offer));
    late.receive(stale);
    await late.send(null);
    return { errors, same: first.data.offer === second.data.offer, waits: late.connection.signalingState };
  });
  assert.deepEqual(end, { errors: [], same: true, waits: "have-local-offer" });
});

inBoth("a call that a browser never ends is begun anew, and the stream is the same", async (tab) => {
  const end = await tab.page.evaluate(async () => {
    const { early, late, errors, until } = /** @type {any} */ (globalThis).pair();
    const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
    const { stream } = early;
    early.start(null);
    late.start(media);
    const comes = async () => {
      let bytes = 0;
      (await early.connection.getStats()).forEach((/** @type {any} */ each) => (bytes += each.type === "inbound-rtp" ? each.bytesReceived : 0));
      return bytes > 0;
    };
    const whole = () => early.state === "connected" && late.state === "connected" && stream.getTracks().length === 2;
    await until(whole);
    const before = [early.connection, late.connection];
    // As if it had got stuck in the midst of it.
    early.connection.setRemoteDescription = () => new Promise(() => {});
    late.connection.restartIce();
    await until(() => early.connection !== before[0] && late.connection !== before[1] && whole(), 40_000);
    let came = false;
    void (async () => { while (!came) came = await comes(); })();
    await until(() => came);
    const closed = before.map(({ signalingState }) => signalingState);
    return { errors, closed, same: early.stream === stream, ended: stream.getTracks().filter((/** @type {any} */ { readyState }) => readyState === "ended").length };
  });
  assert.deepEqual(end, { errors: [], closed: ["closed", "closed"], same: true, ended: 0 });
});

inBoth("who begins the call anew again and again is not followed", async (tab) => {
  const end = await tab.page.evaluate(async () => {
    const { early, late, errors, until } = /** @type {any} */ (globalThis).pair();
    early.start(null);
    late.start(null);
    await until(() => early.state === "connected" && late.state === "connected");
    const before = late.connection;
    for (let call = 1; call <= 50; call++) late.receive({ call });
    const followed = late.call;
    // The call that was followed comes up.
    await until(() => early.connection.connectionState === "connected" && late.connection.connectionState === "connected");
    return { errors, followed, calls: [early.call, late.call], closed: before.signalingState };
  });
  assert.deepEqual(end, { errors: [], followed: 1, calls: [1, 1], closed: "closed" });
});

inBoth("a bad offer that meets one of ours does no harm", async (tab) => {
  const end = await tab.page.evaluate(async () => {
    const { early, late, errors, until } = /** @type {any} */ (globalThis).pair();
    const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
    early.start(null);
    late.start(null);
    await until(() => early.state === "connected" && late.state === "connected");
    const set = late.connection.setLocalDescription.bind(late.connection);
    let met = "";
    // In the moment that our offer goes out.
    late.connection.setLocalDescription = async (/** @type {any} */ description) => {
      await set(description);
      met ||= late.connection.signalingState;
    };
    const sent = late.send(media);
    await until(() => met !== "");
    late.receive({ description: { type: "offer", sdp: "v=0\r\nthis is none" }, offer: 99, call: 0 });
    await sent;
    await until(() => early.stream.getTracks().length === 2);
    await until(() => [early, late].every(({ connection }) => connection.signalingState === "stable"));
    return { met, errors: errors.length, state: early.state };
  });
  assert.deepEqual(end, { met: "have-local-offer", errors: 1, state: "connected" });
});

inBoth("where nothing comes another path is asked for, but not of who is muted", async (tab) => {
  const restarts = await tab.page.evaluate(async () => {
    const { early, late, sent, until } = /** @type {any} */ (globalThis).pair();
    early.start(null);
    late.start(await navigator.mediaDevices.getUserMedia({ audio: true, video: true }));
    await until(() => early.state === "connected" && early.stream.getTracks().length === 2 && early.chats && late.chats);
    for (const sender of late.connection.getSenders()) await sender.replaceTrack(null);
    const restart = early.connection.restartIce.bind(early.connection);
    let restarts = 0;
    early.connection.restartIce = () => {
      restarts += 1;
      restart();
    };
    const readings = async (/** @type {boolean} */ muted) => {
      late.mute({ audio: muted, video: muted });
      await until(() => early.muted.audio === muted && early.muted.video === muted);
      // More than it takes.
      for (let i = 0; i < 12; i++) await early.measure();
      return restarts;
    };
    const whileMuted = await readings(true);
    const before = sent.length;
    const after = await readings(false);
    await until(() => sent.slice(before).some((/** @type {any} */ each) => each.data.description));
    return { whileMuted, asked: after > 0 };
  });
  assert.deepEqual(restarts, { whileMuted: 0, asked: true });
});

inBoth("nothing waits for a connection that was closed meanwhile", async (tab) => {
  const ended = await tab.page.evaluate(async () => {
    const { early, late, until, wait } = /** @type {any} */ (globalThis).pair();
    early.start(null);
    late.start(null);
    await until(() => early.state === "connected" && late.state === "connected");
    late.connection.getTransceivers()[0].sender.replaceTrack = () => new Promise(() => {});
    const sent = late.send(await navigator.mediaDevices.getUserMedia({ audio: true, video: true })).then(() => "ended");
    late.close();
    return Promise.race([sent, wait(5_000)]);
  });
  assert.equal(ended, "ended");
});

inBoth("joining can be given up, and a room left, through a signal", async (tab) => {
  // Firefox complains about a socket that is closed before it opened.
  tab.forgiven = /wss:.*\/ws/;
  const seen = await tab.page.evaluate(async () => {
    const { join } = await import(/** @type {string} */ ("/lanturn.js"));
    const early = new AbortController();
    const joining = join(undefined, "aborted", { signal: early.signal });
    early.abort();
    const refused = await joining.catch((/** @type {Error} */ error) => error.name);
    const late = new AbortController();
    const room = await join(location.origin, "aborted", { signal: late.signal, name: "Anna" });
    const closed = new Promise((resolve) => room.addEventListener("closed", (/** @type {any} */ e) => resolve(e.detail)));
    late.abort();
    return { refused, others: room.peers.size, closed: await closed };
  });
  assert.deepEqual(seen, { refused: "AbortError", others: 0, closed: { reason: "left" } });
});

inBoth("a wrong room name rejects with the box's own id", async (tab) => {
  const id = await tab.page.evaluate(async () => {
    const { join } = await import(/** @type {string} */ ("/lanturn.js"));
    return join(undefined, "x".repeat(65)).catch((/** @type {any} */ error) => error.id);
  });
  assert.equal(id, "bad-room");
});
