/** Whether this browser really opens the box over TLS. */

/** @typedef {"https" | "wss"} Way */

const PATIENCE_MS = 8_000;

/** @param {Way} way @param {string} host with the port @returns {Promise<boolean>} */
export function opens(way, host) {
  return way === "https" ? fetches(host) : connects(host);
}

/** The answer is none of a page's that came without TLS, but that there is one says enough. @param {string} host */
async function fetches(host) {
  const attempt = new AbortController();
  const late = setTimeout(() => attempt.abort(), PATIENCE_MS);
  try {
    await fetch(`https://${host}/health`, { mode: "no-cors", cache: "no-store", credentials: "omit", signal: attempt.signal });
    return true;
  } catch {
    return false;
  } finally {
    clearTimeout(late);
  }
}

/** @param {string} host @returns {Promise<boolean>} */
function connects(host) {
  return new Promise((resolve) => {
    const socket = new WebSocket(`wss://${host}/trust/socket`);
    const late = setTimeout(() => end(false), PATIENCE_MS);
    const end = (/** @type {boolean} */ opened) => {
      clearTimeout(late);
      resolve(opened);
      socket.close();
    };
    socket.addEventListener("open", () => end(true));
    socket.addEventListener("error", () => end(false));
  });
}
