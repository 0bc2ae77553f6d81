/** Every language says everything, and the page asks for nothing that no language says. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { addWords, choose, errorText, languages, t } from "../../src/web/page/i18n.js";
import { en as checkEn } from "../../src/web/page/check/words/en.js";
import { ko as checkKo } from "../../src/web/page/check/words/ko.js";
import { en as trustEn } from "../../src/web/page/words/trust-en.js";
import { ko as trustKo } from "../../src/web/page/words/trust-ko.js";

const web = new URL("../../src/web/", import.meta.url);
const read = (/** @type {string} */ name) => readFileSync(new URL(name, web), "utf8");
const scripts = readdirSync(web, { recursive: true }).map(String).filter((name) => name.endsWith(".js"));
/** Each page, and where its code begins. */
const PAGES = { "index.html": "/page/app.js", "check.html": "/page/check/app.js", "trust.html": "/page/trust.js" };
/** The stable ids in the table of docs/protocol.md, and those of the client itself. */
const PROTOCOL = readFileSync(new URL("../../docs/protocol.md", import.meta.url), "utf8");
const TABLE = PROTOCOL.split("| `id` | when | then |")[1].split("```")[0];
const ERRORS = [...[...TABLE.matchAll(/^\| `([\w-]+)`/gm)].map((match) => match[1]), "unreachable", "timeout", "bad-signal"];

const more = { en: { ...checkEn, ...trustEn }, ko: { ...checkKo, ...trustKo } };
const shared = Object.keys(languages.en).filter((key) => Object.hasOwn(more.en, key));
addWords(more);

const places = (/** @type {string} */ text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();

test("every language has the same keys, none empty, with the same places to fill in", () => {
  assert.deepEqual(shared, [], "no page changes what another says");
  for (const [code, words] of Object.entries(languages)) {
    assert.deepEqual(Object.keys(words).sort(), Object.keys(languages.en).sort(), code);
    for (const [key, text] of Object.entries(words)) {
      assert.notEqual(text.trim(), "", `${code}: ${key}`);
      assert.deepEqual(places(text), places(languages.en[key]), `${code}: ${key}`);
    }
  }
});

test("the page's own texts exist, and each text is used", () => {
  const html = Object.keys(PAGES).map(read).join("\n");
  const asked = [...html.matchAll(/data-(?:text|label|hint|alt)="(\w+)"/g)].map((match) => match[1]);
  for (const key of asked) assert.ok(Object.hasOwn(languages.en, key), `a page asks for ${key}`);
  const code = scripts.filter((name) => !name.includes("/words/")).map(read).join("\n");
  for (const [, key] of code.matchAll(/\bt\("(\w+)"/g)) assert.ok(Object.hasOwn(languages.en, key), `a script asks for ${key}`);
  for (const key of Object.keys(languages.en)) {
    // A family is asked for by its beginning, and each of its members by what follows.
    const family = key.match(/^[a-z]+_/)?.[0];
    const used = asked.includes(key) || code.includes(`"${key}"`) || (family && code.includes(`\`${family}\${`));
    assert.ok(used, `${key} is said somewhere`);
  }
});

test("the language is the first that we speak", () => {
  assert.equal(choose(["de-DE", "ko-KR", "en"]), "ko");
  assert.equal(t("join"), "참여");
  assert.equal(choose(["", "de"]), "en");
  assert.equal(t("came", { name: "Anna" }), "Anna came in.");
});

test("every stable error id has words; an unknown one shows what the box said", () => {
  assert.ok(ERRORS.includes("bad-message") && ERRORS.includes("bad-host"), `${ERRORS}`);
  for (const id of ERRORS) {
    assert.notEqual(errorText({ id, text: "raw" }, "Ben"), errorText({ id: "no-such-id", text: "raw" }), id);
  }
  assert.match(errorText({ id: "no-such-id", text: "raw" }), /raw/);
});

test("no markup is made from text, and no script or style is inline", () => {
  for (const name of scripts) {
    assert.doesNotMatch(read(name), /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function/, name);
  }
  for (const name of Object.keys(PAGES)) assert.doesNotMatch(read(name), /\sstyle=|<style|\son\w+=|<script(?![^>]*\ssrc=)/);
});

/** The modules that one needs, itself first. @param {string} path @param {Set<string>} [known] */
function needs(path, known = new Set()) {
  if (known.has(path)) return known;
  known.add(path);
  for (const from of imported(path, /^(?:import|export)[^"]*"(\.[^"]+)";$/gm)) needs(from, known);
  return known;
}

/** @param {string} path @param {RegExp} pattern */
function imported(path, pattern) {
  return [...read(path.slice(1)).matchAll(pattern)].map(([, from]) => new URL(from, `http://box${path}`).pathname);
}

test("every module that a page loads is asked for at once, at its beginning or when the rest comes, and none besides", () => {
  for (const [name, start] of Object.entries(PAGES)) {
    const first = needs(start);
    const later = [...first].flatMap((path) => imported(path, /\bimport\("(\.[^"]+)"\);/g)).flatMap((path) => [...needs(path)]);
    const [head, rest = ""] = read(name).split("<template");
    const preloaded = (/** @type {string} */ html) => [...html.matchAll(/<link rel="modulepreload" href="([^"]+)"/g)].map((match) => match[1]).sort();
    const [script] = [...read(name).matchAll(/<script type="module" src="([^"]+)"/g)].map((match) => match[1]);
    assert.deepEqual([script, ...preloaded(head)].sort(), [...first].sort(), name);
    assert.deepEqual(preloaded(rest), [...new Set(later)].filter((path) => !first.has(path)).sort(), `${name}: the rest`);
  }
  assert.ok([...needs("/page/room.js")].includes("/lanturn.js"), "there is a rest");
});
