/** The page /check: why it does not connect, told from both ends. */

import { button, element, icon, make, say, translate } from "../dom.js";
import { startLanguage } from "../language.js";
import { startTheme } from "../theme.js";
import { begin, opensSocket, seen } from "./box.js";
import { address, box, certificate, clock, nat, secure, socket, transport, verdict } from "./findings.js";
import { mapped, walk } from "./relay.js";
import { tell } from "./words.js";

/** @import { Facets, Facts, Finding } from "./findings.js" */
/** @import { Word } from "./words.js" */

const TRANSPORTS = /** @type {const} */ (["udp", "tcp", "tls"]);
const ROWS = ["secure", "box", "clock", "socket", ...TRANSPORTS, "certificate", "address", "nat"];

/** What is shown. @type {Map<string, Finding>} */
const shown = new Map();
/** What the test came to, none while it goes on. @type {Facets | null} */
let result = null;

const told = (/** @type {[Word, Facts?]} */ [key, facts]) => tell(key, facts);

/** @param {Finding} finding */
function show(finding) {
  shown.set(finding.id, finding);
  const { id, state, text, next, href } = finding;
  const body = make("div", "", make("h2", "", tell(/** @type {Word} */ (`row_${id}`))), make("p", "", told(text)));
  if (next) {
    const line = make("p", "next", tell("toDo", { next: told(next) }));
    if (href) {
      const link = /** @type {HTMLAnchorElement} */ (make("a", "", href));
      link.href = href;
      line.append(" ", link);
    }
    body.append(line);
  }
  const row = make("li", "", icon(state), body);
  row.id = `row-${id}`;
  row.dataset.state = state;
  const old = document.getElementById(row.id);
  if (old) old.replaceWith(row);
  else element("findings", HTMLElement).append(row);
}

async function run() {
  result = null;
  say("copied");
  button("again").disabled = button("copy").disabled = true;
  for (const id of ROWS) show({ id, state: "busy", text: ["untested"] });
  showVerdict();
  show(secure());
  /** @type {Facets} */
  const facets = { begun: null, beginError: "", socket: false, walks: [], mapped: null, sightings: null };
  try {
    facets.begun = await begin();
  } catch (error) {
    facets.beginError = error.message;
  }
  show(box(facets.begun, facets.beginError));
  show(clock(facets.begun));
  const servers = facets.begun?.iceServers ?? [];
  await Promise.all([
    opensSocket().then((opens) => show(socket((facets.socket = opens)))),
    mapped(servers).then((found) => (facets.mapped = found)),
    // One after the other: the same socket of a slow device is not asked for six connections at once.
    (async () => {
      for (const each of facets.begun ? TRANSPORTS : []) facets.walks.push(await walk(servers, each));
    })(),
  ]);
  if (facets.begun) facets.sightings = await seen(facets.begun.id).catch(() => null);
  finish(facets);
}

/** @param {Facets} facets */
function finish(facets) {
  result = facets;
  for (const id of TRANSPORTS) {
    const found = facets.walks.find((each) => each.transport === id);
    show(found ? transport(found, facets) : { id, state: "unknown", text: ["notTried"] });
  }
  show(certificate(facets.walks));
  show(address(facets));
  show(nat(facets.mapped));
  button("again").disabled = button("copy").disabled = false;
  showVerdict();
}

/** The words of what it came to, and the text for support, in the language of now. */
function showVerdict() {
  const found = result && verdict(result);
  element("verdict", HTMLElement).dataset.state = found?.state ?? "busy";
  say("verdict", () => (found ? told(found.text) : tell("testing")));
  element("support", HTMLTextAreaElement).value = result ? support(result) : "";
}

/** What somebody who helps wants to know: no credential, and no id of the probe. @param {Facets} facets */
function support(facets) {
  const rows = [...shown.values()].map(({ id, state, text, next }) => `${state}  ${id}: ${told(text)}${next ? ` ${tell("toDo", { next: told(next) })}` : ""}`);
  const walks = facets.walks.map(({ transport, relayed, errors }) => `${transport}: relayed ${relayed || "-"}; ${errors.join(", ") || "no error"}`);
  const sightings = (facets.sightings ?? []).map(({ transport, from, method, outcome, code, reason, rule, count }) =>
    `${transport} ${method} from ${from}: ${[outcome, code, reason, rule].filter(Boolean).join(" ")} (${count})`);
  return [`lanturn /check, ${new Date().toISOString()}, ${location.origin}`, navigator.userAgent, ...rows, ...walks, ...sightings].join("\n");
}

/** Where a browser forbids it, the text is selected so that it can be copied by hand. */
async function copySupport() {
  const field = element("support", HTMLTextAreaElement);
  try {
    await navigator.clipboard.writeText(field.value);
    say("copied", () => tell("copiedText"));
  } catch {
    element("details", HTMLDetailsElement).open = true;
    field.select();
    say("copied", () => tell("uncopied"));
  }
}

function speak() {
  translate();
  document.title = `${tell("checkTitle")} · lanturn`;
  for (const finding of shown.values()) show(finding);
  showVerdict();
}

function start() {
  startTheme();
  startLanguage(speak);
  button("again").addEventListener("click", () => void run());
  button("copy").addEventListener("click", () => void copySupport());
  void run();
}

start();
