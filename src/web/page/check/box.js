/** What the box says: its clock, a credential for this page, and what of the attempt it saw. */

/** @typedef {{transport: string, from: string, method: string, outcome: string, code?: number, reason?: string, rule?: string, count: number}} Sighting */
/** @typedef {{id: string, from: string | null, ahead: number, iceServers: RTCIceServer[]}} Begun */

const PATIENCE_MS = 6_000;

/**
 * Begins: the box takes note of what arrives with the credential that it gives.
 * @returns {Promise<Begun>} `ahead`: by how many seconds its clock is before ours
 */
export async function begin() {
  const start = Date.now();
  const answer = await ask("/probe", { method: "POST" });
  const { id, from, now, iceServers } = answer;
  // Half of the time that it took was spent before the box looked at its clock.
  const ahead = Math.round((now - (start + Date.now()) / 2) / 1000);
  return { id, from, ahead, iceServers: iceServers ?? [] };
}

/** @param {string} id @returns {Promise<Sighting[]>} */
export async function seen(id) {
  return (await ask(`/probe/${id}`)).sightings;
}

/** @param {string} path @param {RequestInit} [options] @returns {Promise<any>} */
async function ask(path, options) {
  const response = await fetch(path, { ...options, cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  const body = await response.json();
  if (!response.ok) throw Object.assign(new Error(body.error?.text ?? response.statusText), { id: body.error?.id ?? "" });
  return body;
}

/** Whether a WebSocket opens, as a room needs one. @returns {Promise<boolean>} */
export function opensSocket() {
  return new Promise((resolve) => {
    const url = new URL("/ws", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    const done = (/** @type {boolean} */ works) => {
      clearTimeout(timer);
      socket.close();
      resolve(works);
    };
    const timer = setTimeout(() => done(false), PATIENCE_MS);
    socket.addEventListener("open", () => done(true));
    socket.addEventListener("error", () => done(false));
  });
}
