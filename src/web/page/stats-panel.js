/** What is going on in each call: the path in words, plots of the last minute, and a log for support. */

import { announce, button, element, make } from "./dom.js";
import { bits, milliseconds, number, percent } from "./figures.js";
import { t } from "./i18n.js";
import { onPanel } from "./panels.js";
import { nameOf } from "./people.js";
import { state } from "./state.js";

/** @import { Path, Peer, Stats } from "../lanturn.js" */
/** @import { Key } from "./i18n.js" */
/** @typedef {{key: Key, of: (stats: Stats) => (number | null)[], words: (value: number) => string}} Plot */

/** Readings that are kept, one a second. */
const READINGS = 60;
const SVG = "http://www.w3.org/2000/svg";
/** The two lines of each are what comes in and what goes out. @type {Plot[]} */
const PLOTS = [
  { key: "plot_rate", of: (stats) => [stats.bitrateIn, stats.bitrateOut], words: bits },
  { key: "plot_frames", of: ({ received, sent }) => [received.camera?.frameRate ?? null, sent.camera?.frameRate ?? null], words: (value) => number(value, 0) },
  { key: "plot_trip", of: (stats) => [stats.roundTripTime], words: milliseconds },
  { key: "plot_loss", of: (stats) => [stats.lossIn, stats.lossOut], words: percent },
  { key: "plot_jitter", of: (stats) => [stats.jitter], words: milliseconds },
];

/** By the peer's id. @type {Map<string, CallStats>} */
const calls = new Map();

class CallStats {
  /** For each plot, its lines. @type {(number | null)[][][]} */
  #readings = PLOTS.map(() => []);
  #name = make("h3", "");
  #path = make("p", "");
  #limits = make("p", "soft");
  #plots = PLOTS.map(() => ({ what: make("span", "what"), value: make("span", "value"), drawing: drawing() }));

  constructor() {
    const plots = this.#plots.map(({ what, value, drawing }) => make("li", "", what, value, drawing));
    this.element = make("section", "call-stats", this.#name, this.#path, this.#limits, make("ul", "plots", ...plots));
  }

  /** @param {Stats} stats */
  note(stats) {
    PLOTS.forEach(({ of }, i) => {
      this.#readings[i].push(of(stats));
      if (this.#readings[i].length > READINGS) this.#readings[i].shift();
    });
  }

  /** @param {Peer} peer */
  show(peer) {
    const { stats } = peer;
    this.#name.textContent = nameOf(peer);
    this.#path.textContent = stats?.path ? pathSentence(stats.path) : t(peer.state === "idle" ? "watching" : "connecting");
    this.#limits.textContent = [
      ...(stats?.limitedBy ? [t(/** @type {Key} */ (`limited_${stats.limitedBy}`))] : []),
      ...(peer.step > 0 && peer.stepReason ? [t(/** @type {Key} */ (`step_${peer.stepReason}`))] : []),
    ].join(" ");
    PLOTS.forEach(({ key, words }, i) => {
      const { what, value, drawing } = this.#plots[i];
      const lines = this.#readings[i];
      const [into, out] = (lines.at(-1) ?? []).map((reading) => (reading === null || reading === undefined ? "–" : words(reading)));
      what.textContent = t(key);
      value.textContent = out === undefined ? (into ?? "–") : t("inOut", { in: into, out });
      draw(drawing, lines);
    });
  }
}

/** The path in words. @param {Path} path */
export function pathSentence(path) {
  const transport = path.transport.toUpperCase();
  const remote = path.remote || t("hiddenAddress");
  if (path.kind === "direct") return t("pathDirect", { transport, local: path.local || t("hiddenAddress"), remote });
  // Firefox does not say by which server it has its relayed address.
  const relay = path.relay ?? (path.localType === "relay" ? path.local : null);
  return relay ? t("pathRelayOwn", { relay, transport }) : t("pathRelayTheirs", { remote, transport });
}

function drawing() {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("aria-hidden", "true");
  made.setAttribute("preserveAspectRatio", "none");
  made.setAttribute("viewBox", `0 0 ${READINGS - 1} 1`);
  for (const line of ["in", "out"]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", line);
    made.append(path);
  }
  return made;
}

/** @param {SVGElement} made @param {(number | null)[][]} lines */
function draw(made, lines) {
  const most = Math.max(...lines.flat().map((value) => value ?? 0)) || 1;
  [...made.children].forEach((path, line) => {
    let steps = "";
    let pen = "M";
    lines.forEach((values, i) => {
      const value = values[line] ?? null;
      if (value === null) pen = "M";
      else {
        steps += `${pen}${i + READINGS - lines.length} ${(1 - value / most).toFixed(3)}`;
        pen = "L";
      }
    });
    path.setAttribute("d", steps);
  });
}

/** @param {Peer} peer */
export function noteStats(peer) {
  let call = calls.get(peer.id);
  if (!call) {
    call = new CallStats();
    calls.set(peer.id, call);
    element("calls", HTMLElement).append(call.element);
  }
  if (peer.stats) call.note(peer.stats);
  element("stats-empty", HTMLElement).hidden = true;
  if (!element("panel-stats", HTMLElement).hidden) call.show(peer);
}

/** @param {string} id */
export function forgetStats(id) {
  calls.get(id)?.element.remove();
  calls.delete(id);
  element("stats-empty", HTMLElement).hidden = calls.size > 0;
}

export function forgetAllStats() {
  for (const id of [...calls.keys()]) forgetStats(id);
  element("report", HTMLTextAreaElement).hidden = true;
}

export function showStats() {
  for (const peer of state.room?.peers.values() ?? []) calls.get(peer.id)?.show(peer);
}

export function startStats() {
  onPanel((id) => {
    if (id !== "panel-stats") return;
    button("report-copy").textContent = t("reportCopy");
    showStats();
  });
  button("report-copy").addEventListener("click", () => void copyReport());
}

async function copyReport() {
  const report = element("report", HTMLTextAreaElement);
  report.value = state.room?.report() ?? "";
  report.hidden = false;
  try {
    await navigator.clipboard.writeText(report.value);
    announce(t("reportCopied"));
    button("report-copy").textContent = t("reportCopied");
  } catch {
    report.select();
  }
}
