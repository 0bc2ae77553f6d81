/** The examples of docs/client.md, all in one page of another site, do what that says. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { KINDS } from "./support/browsers.js";
import { elsewhere } from "./support/elsewhere.js";
import { Member } from "./support/member.js";
import { explained, Tab, until } from "./support/tab.js";

/** @import { Kind } from "./support/browsers.js" */

const CASE = { timeout: 60_000 };
const GUIDE = readFileSync(new URL("../../docs/client.md", import.meta.url), "utf8");

const there = elsewhere((request, response) => {
  response.setHeader("content-type", "text/html; charset=utf-8").end(page(new URL(request.url ?? "", "http://site").pathname.slice(1)));
});

/** All examples in their order, with the elements that they speak of. @param {string} room */
function page(room) {
  const examples = [...GUIDE.matchAll(/```js\n(.*?)```\n/gs)].map((match) => match[1]);
  if (examples.length !== 6) throw new Error(`docs/client.md has ${examples.length} examples`);
  const script = examples.join("\n").replaceAll("https://192.168.1.5:3478", there.box.url).replace('"kitchen"', JSON.stringify(room));
  return `<!doctype html><link rel="icon" href="data:,">
    ${["camera", "mute", "share", "say", "report"].map((id) => `<button id="${id}">${id}</button>`).join("")}
    <input type="file" id="file"><pre id="chat"></pre><pre id="figures"></pre>
    <script type="module">
    globalThis.confirm = () => true;
    navigator.clipboard.writeText = async (text) => { globalThis.copied = text; };
    ${script}
    globalThis.ready = true;
  </script>`;
}

for (const kind of KINDS) {
  test(`${kind}: the examples of docs/client.md work together`, CASE, async () => {
    const browser = there.browsers[kind];
    const ben = await Member.open(browser, there.box.url, "Ben");
    await ben.enters(kind, { name: "Ben" });
    await ben.page.evaluate(() => me.media.start("video"));
    const anna = await Tab.open(browser, `${there.origin}/${kind}`, "Anna");
    try {
      await until("Anna's page is through", () => anna.page.evaluate(() => "ready" in globalThis));
      const [typed, offered] = await anna.page.evaluate(async (url) => {
        const types = await (await fetch(`${url}/lanturn.d.ts`)).text();
        const names = [...types.matchAll(/^export (?:class|function|const) (\w+)/gm)].map((match) => match[1]);
        return [names.sort(), Object.keys(await import(`${url}/lanturn.js`)).sort()];
      }, there.box.url);
      assert.deepEqual(typed, offered, "lanturn.d.ts declares what the module has");
      const plays = () => anna.page.$$eval("figure .stream", ([video]) => /** @type {HTMLVideoElement} */ (video)?.currentTime > 0);
      await until("Anna sees Ben", plays);
      await anna.click("#camera");
      await ben.until("sees Anna as she asked", () => me.picture()?.width === 640 && me.picture().frameRate <= 12);
      await anna.click("#mute");
      await ben.until("is told that Anna is muted", () => me.other.muted.audio);
      await anna.page.evaluate(() => {
        const canvas = document.createElement("canvas");
        const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
        setInterval(() => pen.fillRect(Math.random() * 300, 9, 9, 9), 50);
        navigator.mediaDevices.getDisplayMedia = async () => canvas.captureStream(10);
      });
      await anna.click("#share");
      await ben.watches("screen");
      await anna.reads("#figures", /Ben: connected, directly to .*\ncamera width: 640 asked, 640 sent/s);
      await anna.click("#say");
      await ben.until("reads it", () => me.heard("chat")[0]?.text === "Hello");
      await ben.page.evaluate(() => {
        me.room.say("Hello Anna");
        me.room.addEventListener("file", (/** @type {any} */ { detail }) => (me.offered = detail.transfer.name));
        me.room.sendFile(new File(["words"], "words.txt", { type: "text/plain" }));
      });
      await anna.reads("#chat", /Ben: Hello Anna/);
      await anna.reads("a", "words.txt");
      const text = await anna.page.$eval("a", async (link) => (await fetch(/** @type {HTMLAnchorElement} */ (link).href)).text());
      assert.equal(text, "words");
      await anna.page.$eval("#file", (input) => {
        const list = new DataTransfer();
        list.items.add(new File(["more"], "more.txt"));
        /** @type {HTMLInputElement} */ (input).files = list.files;
        input.dispatchEvent(new Event("change"));
      });
      await ben.until("is offered it", () => me.offered === "more.txt");
      await anna.click("#report");
      assert.match(await until("Anna has a report", () => anna.page.evaluate(() => /** @type {any} */ (globalThis).copied)), /Mozilla/);
      await ben.page.evaluate(() => me.room.leave());
      await until("Anna is alone", async () => (await anna.page.$$("figure")).length === 0);
      for (const tab of [anna, ben]) await tab.close();
    } catch (error) {
      throw await explained(error, there.box, anna, ben);
    } finally {
      for (const tab of [anna, ben]) await tab.page.close().catch(() => {});
    }
  });
}
