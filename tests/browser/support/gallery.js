/**
 * Looks at a page as everybody does: on a phone and on a computer, in each language, light and dark. Each look is kept
 * as a picture under target/screens/, and axe-core (Deque's accessibility checks) must find nothing serious in it.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "./tab.js";

/** @import { Kind } from "./browsers.js" */
/** @import { Tab } from "./tab.js" */
/** @typedef {{size: "phone" | "desktop", language: "en" | "ko", theme: "light" | "dark"}} Look */

const SCREENS = fileURLToPath(new URL("../../../target/screens/", import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SIZES = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } };
/** The smallest and the largest that is looked at, if not kept. */
const EXTREMES = [{ width: 320, height: 568 }, { width: 2560, height: 1300 }];

/** @returns {Look[]} each language, size and theme; in Firefox two of them, which between them have each */
function looks(/** @type {Kind} */ kind) {
  /** @type {Look[]} */
  const all = [];
  for (const language of /** @type {const} */ (["en", "ko"])) {
    for (const size of /** @type {const} */ (["phone", "desktop"])) {
      for (const theme of /** @type {const} */ (["light", "dark"])) all.push({ size, language, theme });
    }
  }
  return kind === "chromium" ? all : all.filter((_, i) => i === 0 || i === all.length - 1);
}

/** @param {Tab} tab @param {Look} look */
async function apply(tab, { size, language, theme }) {
  await tab.page.setViewport(SIZES[size]);
  const chosen = await tab.page.evaluate((language, theme) => {
    const select = /** @type {HTMLSelectElement} */ (document.getElementById("language"));
    if (select.value !== language) {
      select.value = language;
      select.dispatchEvent(new Event("change"));
    }
    const radio = /** @type {HTMLInputElement | null} */ (document.querySelector(`[name=theme][value=${theme}]`));
    radio?.click();
    // A page without settings has the short way, which leads to the other of the two.
    for (let i = 0; i < 2 && document.documentElement.dataset.theme !== theme; i++) document.getElementById("next-theme")?.click();
    return [document.documentElement.lang, document.documentElement.dataset.theme];
  }, language, theme);
  assert.deepEqual(chosen, [language, theme]);
  await settle(tab);
}

/** Waits until the page is laid out and what moves has arrived. @param {Tab} tab */
async function settle(tab) {
  // Tiles are laid out anew by an observer, after the frame in which the window has its new size.
  await tab.page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  const still = () => tab.page.evaluate(() => document.getAnimations().every((each) => each.playState !== "running" || each.effect?.getTiming().iterations === Infinity));
  await until("the page stands still", still);
}

/** @param {Tab} tab @returns {Promise<string[]>} what is serious or critical, and where */
async function audit(tab) {
  if (!(await tab.page.evaluate(() => "axe" in globalThis))) await tab.page.evaluate(AXE);
  return tab.page.evaluate(async () => {
    const { violations } = await /** @type {any} */ (globalThis).axe.run(document, { resultTypes: ["violations"] });
    return violations
      .filter((/** @type {any} */ each) => each.impact === "serious" || each.impact === "critical")
      .map((/** @type {any} */ each) => `${each.id}: ${each.nodes.map((/** @type {any} */ node) => `${node.target} (${node.any[0]?.message ?? node.failureSummary})`).join("; ")}`);
  });
}

/** @param {Tab} tab @returns {Promise<string[]>} what is wider than the window */
async function overflow(tab) {
  return tab.page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const wide = document.documentElement.scrollWidth > width ? [`the page is ${document.documentElement.scrollWidth} wide`] : [];
    // Nothing that can be pressed is beyond the edge, where what cannot be scrolled would hide it.
    for (const each of document.querySelectorAll("button, select, input, a, summary")) {
      const { left, right, height } = each.getBoundingClientRect();
      const scrolls = each.closest(".sr-only, .segments, .cards") !== null;
      if (height > 0 && !scrolls && (left < -1 || right > width + 1)) wide.push(`${each.id || each.className} reaches from ${left} to ${right} of ${width}`);
    }
    return wide;
  });
}

/**
 * Looks at the page as it is now.
 * @param {Tab} tab @param {string} state what it shows, for the name of the picture
 * @param {() => Promise<void>} [again] opens what keeps the language that it was opened in
 */
export async function look(tab, state, again) {
  const { kind } = tab.browser;
  const dir = join(SCREENS, kind);
  await mkdir(dir, { recursive: true });
  await tab.page.bringToFront();
  /** @type {string[]} */
  const findings = [];
  for (const each of looks(kind)) {
    await apply(tab, each);
    if (again) {
      await tab.page.keyboard.press("Escape");
      await again();
      await settle(tab);
    }
    const name = `${state}-${each.size}-${each.language}-${each.theme}`;
    await tab.page.screenshot({ path: /** @type {`${string}.png`} */ (join(dir, `${name}.png`)) });
    // What it looks at does not depend on the language.
    const barriers = kind === "firefox" || each.language === "en" ? await audit(tab) : [];
    findings.push(...[...barriers, ...(await overflow(tab))].map((finding) => `${name}: ${finding}`));
  }
  for (const size of EXTREMES) {
    await tab.page.setViewport(size);
    await settle(tab);
    findings.push(...(await overflow(tab)).map((finding) => `${state} in ${size.width}×${size.height}: ${finding}`));
  }
  await apply(tab, { size: "desktop", language: "en", theme: "light" });
  assert.deepEqual(findings, [], `${state} in ${kind}`);
}
