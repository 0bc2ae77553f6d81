/**
 * What happened, for support. Only facts that are named here are written down: no name of a person or a room, and nothing
 * that opens anything. Used through lanturn.js.
 *
 * @import { Peer } from "./lanturn.js"
 */

/** The oldest lines make way. */
const MOST_LINES = 500;
/** What an event's detail may tell. */
const FACTS = ["reason", "retryIn", "id", "text", "state", "step", "because", "crowded", "peers", "most"];
/** What comes too often, or tells what people said. */
const SILENT = new Set(["stats", "chat"]);
/** A long text could be anything. */
const MOST_CHARACTERS = 200;

export class Log {
  /** @type {string[]} */
  #lines = [];
  #began = Date.now();

  /** @param {string} type of an event @param {Record<string, any>} detail */
  note(type, detail) {
    if (SILENT.has(type)) return;
    const { peer } = detail;
    // A browser may quote the description that it does not take: of that, only the error's name.
    if (detail.id === "bad-signal") detail = { ...detail, text: String(detail.text).split(":")[0] };
    const facts = FACTS.filter((fact) => ["string", "number", "boolean"].includes(typeof detail[fact]));
    const words = facts.map((fact) => `${fact}=${String(detail[fact]).slice(0, MOST_CHARACTERS)}`);
    if (peer) words.unshift(tag(peer));
    if (type === "presence") words.push(`away=${peer.away}`);
    this.#lines.push([`+${((Date.now() - this.#began) / 1000).toFixed(1)}s`, type, ...words].join(" "));
    if (this.#lines.length > MOST_LINES) this.#lines.shift();
  }

  /** @param {string[]} standing how it stands now @returns {string} */
  text(standing) {
    const began = `began ${new Date(this.#began).toISOString()}`;
    return ["lanturn", began, ...standing, "", ...this.#lines, ""].join("\n");
  }
}

/** Enough of an id to tell people apart. @param {{id: string}} person @returns {string} */
export function tag({ id }) {
  return id.slice(0, 4);
}

/** How a call stands, in one line. @param {Peer} peer @returns {string} */
export function standing(peer) {
  const { stats, connection } = peer;
  const words = [`${tag(peer)}: ${peer.role} ${peer.state}${peer.away ? " away" : ""}`];
  if (peer.state !== "idle") words.push(`ice=${connection.iceConnectionState} signaling=${connection.signalingState}`);
  if (stats?.path) {
    const { kind, transport, relay, local, localType, remote, remoteType } = stats.path;
    words.push(`${kind} ${transport}${relay ? ` by ${relay}` : ""} ${local} (${localType}) to ${remote} (${remoteType})`);
  }
  if (!stats) return words.join("; ");
  const { roundTripTime, lossIn, lossOut, jitter, bitrateIn, bitrateOut, limitedBy } = stats;
  const figures = { roundTripTime, lossIn, lossOut, jitter, bitrateIn, bitrateOut, limitedBy, step: peer.step };
  words.push(Object.entries(figures).map(([name, value]) => `${name}=${value ?? "?"}`).join(" "));
  const rows = stats.compared.map(({ of, what, asked = "any", allowed = "any", sent }) => `${of} ${what} ${asked}/${allowed}/${sent}`);
  if (rows.length > 0) words.push(`asked/allowed/sent: ${rows.join(", ")}`);
  return words.join("; ");
}
