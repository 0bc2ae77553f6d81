/** What protects people at the page: from names, from other sites, and from what is written down about them. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after } from "node:test";
import { Box } from "./support/box.js";
import { stories } from "./support/stories.js";
import { Tab, until } from "./support/tab.js";

/** @import { AddressInfo } from "node:net" */

const story = stories();
/** @type {(() => unknown)[]} */
const ends = [];
after(async () => {
  for (const end of ends) await end();
});

const HOSTILE = { room: "<img src=x onerror=alert(1)>", anna: "<script>alert(2)</script>", ben: "\"><svg onload=alert(3)> {name}" };

story("names are never markup, wherever they are shown", async ({ open, kind }) => {
  const anna = await open(HOSTILE.anna);
  const ben = await open(HOSTILE.ben);
  for (const tab of [anna, ben]) {
    tab.page.on("dialog", (dialog) => {
      tab.faults.push(`it ran: ${dialog.message()}`);
      void dialog.dismiss();
    });
  }
  await anna.join(`${HOSTILE.room} ${kind}`);
  await ben.join(`${HOSTILE.room} ${kind}`);
  await ben.sees();
  await anna.reads("#room-title", `${HOSTILE.room} ${kind}`);
  await anna.page.bringToFront();
  await anna.reads(".tile:not(.self) .name", HOSTILE.ben);
  await anna.reads("#people", new RegExp(`^2 of 8 here: <script>.*<svg onload`));
  await anna.open("#people");
  await anna.reads("#persons", /<svg onload=alert\(3\)>/);
  await anna.click(".kick:not([hidden])");
  await anna.reads("dialog .question", /<svg onload=alert\(3\)> \{name\} away\?/);
  await anna.page.keyboard.press("Escape");
  await anna.click(".tile:not(.self) .tile-more");
  await anna.reads("#tile-menu", /<svg onload/);
  await anna.open("#stats");
  await anna.reads("#calls", /<svg onload/);
  const made = await anna.page.$$eval("img[src=x], [onload], [onerror], body script", (each) => each.length);
  assert.equal(made, 0);
});

story("everything comes from the box, and no address has a secret", async ({ box, browser, room }) => {
  const logged = await Box.start({ dir: box.dir, env: { LANTURN_LOG: "trace" } });
  ends.push(() => logged.stop({ keep: true }));
  /** @type {string[]} */
  const asked = [];
  /** @param {Tab} tab */
  const note = (tab) => tab.page.on("request", (request) => asked.push(request.url()));
  const anna = await Tab.open(browser, logged.url, "Anna");
  note(anna);
  await anna.page.reload({ waitUntil: "load" });
  await anna.join(room);
  await anna.open("#invite");
  await anna.type("#room-pin", "secret-4711");
  await anna.page.keyboard.press("Enter");
  await anna.reads("#standing", "with PIN");
  const link = () => anna.page.$eval("#invite-link", (input) => /** @type {HTMLInputElement} */ (input).value);
  await until("there is an invite", async () => (await link()).includes("#invite="));
  await until("the code is drawn", () => anna.page.$("#invite-qr:not([hidden])"));
  const invite = new URLSearchParams(new URL(await link()).hash.slice(1)).get("invite") ?? "";
  const ben = await Tab.open(browser, "about:blank", "Ben");
  note(ben);
  await ben.page.goto(await link(), { waitUntil: "load" });
  await ben.enter();
  await ben.sees();
  assert.ok(asked.some((url) => url.endsWith("/page/app.js")) && asked.some((url) => url.endsWith("/qr")), `${asked}`);
  for (const url of asked) {
    assert.ok(url.startsWith(`${logged.url}/`) || /^(blob|data):/.test(url), `${url} is the box's`);
    for (const secret of [invite, "secret-4711"]) assert.ok(!url.replace(/#.*/, "").includes(secret), url);
  }
  assert.ok(/TRACE|DEBUG/.test(logged.log), "the box wrote down all it can");
  for (const secret of [invite, encodeURIComponent(invite), "secret-4711"]) assert.ok(!logged.log.includes(secret), "the box's log has no secret");
  await anna.close();
  await ben.close();
});

story("no other site can put the page into a frame", async ({ open, box }) => {
  const site = createServer((_, answer) => {
    answer.setHeader("content-type", "text/html; charset=utf-8");
    answer.end(`<!doctype html><link rel="icon" href="data:,"><iframe src="${box.url}/" onload="document.title = 'settled'"></iframe>`);
  });
  await new Promise((resolve) => site.listen(0, "127.0.0.1", () => resolve(undefined)));
  ends.push(() => site.close());
  const mallory = await open("Mallory", `http://localhost:${/** @type {AddressInfo} */ (site.address()).port}/`);
  mallory.forgiven = /frame|ancestors/i;
  await until("the frame is settled", async () => (await mallory.page.title()) === "settled");
  const forms = await Promise.all(mallory.page.frames().map((frame) => frame.$("#join-form").catch(() => null)));
  assert.ok(forms.every((form) => form === null), "the page is not in it");
});

story("the policy of the page leaves nothing to inline scripts, to eval, to markup and to devices of others", async ({ open, box }) => {
  const anna = await open("Anna");
  anna.forgiven = /policy|TrustedHTML|Trusted|Content.Security|eval|inline/i;
  const site = createServer((_, answer) => {
    answer.setHeader("access-control-allow-origin", "*");
    answer.end("anybody may read this");
  });
  await new Promise((resolve) => site.listen(0, "127.0.0.1", () => resolve(undefined)));
  ends.push(() => site.close());
  const elsewhere = `http://127.0.0.1:${/** @type {AddressInfo} */ (site.address()).port}/`;
  const tried = await anna.page.evaluate(async (elsewhere) => {
    // What a debugger calls may do more; what comes after it is the page's own.
    await new Promise((resolve) => setTimeout(resolve, 0));
    /** @type {Record<string, string>} */
    const found = {};
    const trial = (/** @type {string} */ what, /** @type {() => void} */ act) => {
      try {
        act();
        found[what] = "done";
      } catch {
        found[what] = "refused";
      }
    };
    trial("eval", () => void globalThis.eval("1"));
    trial("Function", () => void new Function("return 1"));
    const script = document.createElement("script");
    try {
      script.textContent = "globalThis.ran = true";
    } catch {
      // Trusted Types refuse it before the policy of scripts does.
    }
    document.head.append(script);
    found.inline = "ran" in globalThis ? "done" : "refused";
    const styled = document.createElement("p");
    styled.setAttribute("style", "color: rgb(1, 2, 3)");
    document.body.append(styled);
    found.style = getComputedStyle(styled).color === "rgb(1, 2, 3)" ? "done" : "refused";
    found.elsewhere = await fetch(elsewhere).then(() => "done", () => "refused");
    if ("trustedTypes" in globalThis) trial("markup", () => document.body.insertAdjacentHTML("beforeend", "<b>b</b>"));
    return found;
  }, elsewhere);
  for (const [what, outcome] of Object.entries(tried)) assert.equal(outcome, "refused", what);
  const answer = await anna.page.goto(box.url);
  const headers = answer?.headers() ?? {};
  assert.match(headers["content-security-policy"], /default-src 'none'.*frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'/);
  assert.doesNotMatch(headers["content-security-policy"], /unsafe/);
  assert.equal(headers["permissions-policy"], "camera=(self), microphone=(self), display-capture=(self)");
});
