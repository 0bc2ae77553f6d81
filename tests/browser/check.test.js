/** The page /check: what works, what does not, and what to do about it. Each outcome is looked at, too. */

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { Box } from "./support/box.js";
import { KINDS, TestBrowser } from "./support/browsers.js";
import { look } from "./support/gallery.js";
import { PlainProxy } from "./support/proxy.js";
import { explained, Tab, until } from "./support/tab.js";

/** @import { Kind } from "./support/browsers.js" */

/** Each outcome is looked at eight times. */
const CASE = { timeout: 240_000 };
/** @type {Box} whose relay cannot open a port */
let broken;
/** @type {Box} */
let box;
/** @type {Box} that believes a proxy on this machine */
let behind;
/** A UDP port at which nobody answers. */
const silent = createSocket("udp4");
/** @type {Record<Kind, TestBrowser>} */
const browsers = /** @type {any} */ ({});

before(async () => {
  silent.bind(0, "127.0.0.1");
  await once(silent, "listening");
  box = await Box.start();
  behind = await Box.start({ dir: box.dir, env: { LANTURN__LISTEN__PROXIES: "127.0.0.1" } });
  broken = await Box.start({ dir: box.dir, env: { LANTURN__RELAY__ADDRESSES: "203.0.113.7" } });
  for (const kind of KINDS) browsers[kind] = await TestBrowser.launch(kind, box.authority);
}, { timeout: 120_000 });

after(async () => {
  for (const browser of Object.values(browsers)) await browser.close();
  await broken?.stop({ keep: true });
  await behind?.stop({ keep: true });
  await box?.stop();
  silent.close();
});

/** @param {string} name @param {(kind: Kind) => Promise<void>} story */
function both(name, story) {
  for (const kind of KINDS) test(`${kind}: ${name}`, CASE, () => story(kind));
}

/**
 * @param {Kind} kind @param {Box} at @param {(tab: Tab) => Promise<void>} story
 * @param {{url?: string, udpPort?: number}} [options] `udpPort`: where the page is told that the relay is over UDP
 */
async function checked(kind, at, story, { url = at.url, udpPort } = {}) {
  const tab = await Tab.open(browsers[kind], "about:blank", "Anna");
  try {
    if (udpPort) await tab.page.evaluateOnNewDocument(mislead, udpPort);
    await tab.page.goto(`${url}/check`, { waitUntil: "load" });
    await done(tab);
    await story(tab);
  } catch (error) {
    throw await explained(error, at, tab);
  } finally {
    await tab.page.close().catch(() => {});
  }
}

/** Runs in the page, before its own scripts. @param {number} port */
function mislead(port) {
  const { fetch } = globalThis;
  globalThis.fetch = async (...question) => {
    const answer = await fetch(...question);
    const text = await answer.text();
    return new Response(text.replace(/:\d+\?transport=udp/g, `:${port}?transport=udp`), { status: answer.status });
  };
}

/** @param {Tab} tab */
async function done(tab) {
  await until("the test is over", () => tab.page.$("#verdict[data-state=ok], #verdict[data-state=failed]"));
}

/** State and words of a row. @param {Tab} tab @param {string} id @returns {Promise<[string, string]>} */
async function row(tab, id) {
  const [state, words] = await tab.page.$eval(`#row-${id}`, (each) => [/** @type {HTMLElement} */ (each).dataset.state ?? "", each.textContent ?? ""]);
  return [state, words];
}

const verdict = (/** @type {Tab} */ tab) => tab.page.$eval("#verdict", (each) => each.textContent ?? "");
const support = (/** @type {Tab} */ tab) => tab.page.$eval("#support", (each) => /** @type {HTMLTextAreaElement} */ (each).value);

both("a whole box works over every transport", (kind) => checked(kind, box, async (tab) => {
  assert.equal(await verdict(tab), "Calls work from here, over UDP, TCP and TLS.", await support(tab));
  for (const id of ["secure", "box", "clock", "socket", "udp", "tcp", "tls", "certificate", "address"]) {
    assert.equal((await row(tab, id))[0], "ok", await support(tab));
  }
  assert.match((await row(tab, "nat"))[1], /the box has only one address to compare/);
  assert.match((await row(tab, "udp"))[1], /data went through 127\.0\.0\.1:\d+ and back/);
  const text = await support(tab);
  for (const transport of ["udp", "tcp", "tls"]) assert.match(text, new RegExp(`^${transport} allocate from [\\d.]+:\\d+: answered`, "m"));
  assert.doesNotMatch(text, /:page:|[0-9a-f]{16}|=\n/, "no credential and no id");
  await look(tab, "30-check-works");
  await tab.click("#details summary");
  await look(tab, "30-check-works-below", () => tab.page.$eval("#again", (each) => each.scrollIntoView()));
  await tab.click("#copy");
  await until("it says whether it was copied", async () => /Copied|copy it yourself/.test(await tab.page.$eval("#copied", (each) => each.textContent ?? "")));
  await tab.click("#again");
  await done(tab);
  assert.match(await verdict(tab), /^Calls work/);
  assert.deepEqual(tab.faults, []);
}));

both("it says that UDP is blocked, and what to do", (kind) => checked(kind, box, async (tab) => {
  const [state, words] = await row(tab, "udp");
  assert.equal(state, "failed", await support(tab));
  assert.match(words, /No UDP gets through port \d+, though TCP does: a firewall blocks it\.What to do: Open UDP \d+ on the box’s firewall/);
  assert.equal(await verdict(tab), "Calls work from here, over TCP, TLS. Not over UDP.");
  await look(tab, "31-check-udp-blocked");
}, { udpPort: silent.address().port }));

both("it says what the box says when that cannot relay", (kind) => checked(kind, broken, async (tab) => {
  for (const id of ["udp", "tcp", "tls"]) {
    const [state, words] = await row(tab, id);
    assert.equal(state, "failed", await support(tab));
    assert.match(words, /The box can open no relay for you over \w+\.What to do: See that relay\.addresses/);
  }
  assert.equal(await verdict(tab), "Calls do not work from here: nothing gets through the relay.");
  assert.match(await support(tab), /refused 508 no-capacity/);
  await look(tab, "32-check-no-relay");
}));

both("it says that a page without TLS is not secure", async (kind) => {
  const proxy = await PlainProxy.before(behind);
  try {
    await checked(kind, behind, async (tab) => {
      const [state, words] = await row(tab, "secure");
      assert.equal(state, "failed");
      assert.match(words, /What to do: Open the page with https:/);
      assert.equal(await verdict(tab), "Calls do not work from here: the page is not secure.");
      await look(tab, "33-check-insecure");
    }, { url: proxy.url });
  } finally {
    proxy.stop();
  }
});

both("it says that the box is gone", async (kind) => {
  const gone = await Box.start({ dir: box.dir });
  await checked(kind, gone, async (tab) => {
    await gone.stop({ keep: true });
    await tab.click("#again");
    await done(tab);
    assert.equal((await row(tab, "box"))[0], "failed");
    assert.equal((await row(tab, "socket"))[0], "failed");
    assert.equal((await row(tab, "udp"))[0], "unknown");
    assert.equal(await verdict(tab), "Calls do not work from here: the box does not answer as it should.");
  });
});
