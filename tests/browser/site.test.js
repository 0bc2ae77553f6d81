/** A page of another site uses the box just as the README says: with its rooms, and with its relay alone. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { KINDS } from "./support/browsers.js";
import { elsewhere } from "./support/elsewhere.js";
import { explained, Tab, until } from "./support/tab.js";

/** @import { Kind } from "./support/browsers.js" */

const CASE = { timeout: 60_000 };
const README = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

const there = elsewhere((request, response) => {
  response.setHeader("content-type", "text/html; charset=utf-8");
  response.end(page(request.url === "/rooms" ? "import { join }" : "fetch("));
});

/** The README's example that has `words`, in a page of its own. @param {string} words */
function page(words) {
  const examples = [...README.matchAll(/```js\n([^`]*)```/g)].map((match) => match[1]);
  const key = readFileSync(join(there.box.dir, "certs", "api.keys"), "utf8").trim().split("\n").at(-1);
  const example = examples.find((each) => each.includes(words)) ?? "throw new Error('the README has no such example');";
  const script = example.replaceAll("https://192.168.1.5:3478", there.box.url).replace("key=…", `key=${key}`);
  return `<!doctype html><link rel="icon" href="data:,"><video autoplay muted playsinline></video><script type="module">
    const video = document.querySelector("video");
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
    ${script}
    ${words === "fetch(" ? "globalThis.connection = connection;" : "globalThis.room = room;"}
  </script>`;
}

for (const kind of KINDS) {
  test(`${kind}: a page of another site joins a room`, CASE, async () => {
    const browser = there.browsers[kind];
    const theirs = await Tab.open(browser, `${there.origin}/rooms`, "Anna");
    const ours = await Tab.open(browser, `${there.box.url}/r/kitchen`, "Ben");
    try {
      await until("Anna is in the room", () => theirs.page.evaluate(() => "room" in globalThis));
      await ours.enter();
      await ours.sees();
      await theirs.page.bringToFront();
      const plays = () => theirs.page.$eval("video", (video) => video.videoWidth > 0 && video.currentTime > 0);
      await until("Anna sees Ben", plays);
      await theirs.close();
      await ours.reads("#people", /^1 of/);
      await ours.close();
    } catch (error) {
      throw await explained(error, there.box, theirs, ours);
    } finally {
      for (const tab of [theirs, ours]) await tab.page.close().catch(() => {});
    }
  });

  test(`${kind}: a page of another site uses the relay`, CASE, async () => {
    const tab = await Tab.open(there.browsers[kind], `${there.origin}/relay`, "Anna");
    try {
      await until("the page has a connection", () => tab.page.evaluate(() => "connection" in globalThis));
      const found = await tab.page.evaluate(async () => {
        /** @type {RTCPeerConnection} */
        const connection = /** @type {any} */ (globalThis).connection;
        connection.createDataChannel("any");
        /** @type {(string | undefined)[]} */
        const types = [];
        const all = new Promise((resolve) => {
          connection.onicecandidate = ({ candidate }) => (candidate ? types.push(candidate.type ?? "") : resolve(types));
        });
        await connection.setLocalDescription();
        return all;
      });
      assert.ok(found.includes("relay"), `${found}`);
      await tab.close();
    } catch (error) {
      throw await explained(error, there.box, tab);
    } finally {
      await tab.page.close().catch(() => {});
    }
  });
}

test("a site that is not listed stays out, and can read why it gets no credentials", CASE, async () => {
  const tab = await Tab.open(there.browsers.chromium, `${there.origin}/relay`, "Anna");
  tab.forgiven = /401|WebSocket/;
  try {
    // The same page by another name is another site.
    await tab.page.goto(there.origin.replace("localhost", "127.0.0.1") + "/relay");
    const seen = await tab.page.evaluate(async (/** @type {string} */ url) => {
      const { join } = await import(`${url}/lanturn.js`);
      const refused = await join(url, "kitchen").catch((/** @type {any} */ error) => error.id);
      const answer = await fetch(`${url}/ice`);
      return { refused, status: answer.status, id: (await answer.json()).error.id };
    }, there.box.url);
    assert.deepEqual(seen, { refused: "unreachable", status: 401, id: "missing-key" });
    await tab.close();
  } catch (error) {
    throw await explained(error, there.box, tab);
  } finally {
    await tab.page.close().catch(() => {});
  }
});
