/** Where a visitor of the page about trust wanted to go, and where others find that page. */

const PATH = "/trust";

/** The page that was wanted, over https. @param {string} here the address that was opened @returns {URL} */
export function wanted(here) {
  const there = new URL(here);
  there.protocol = "https:";
  return there.pathname === PATH ? new URL("/", there) : there;
}

/** The room that an address names, if it does. @param {URL} there @returns {string} */
export function roomOf(there) {
  const [, encoded] = there.pathname.match(/^\/r\/([^/]+)$/) ?? [];
  try {
    return decodeURIComponent(encoded ?? "");
  } catch {
    return "";
  }
}

/** An address as people read it. @param {string} address */
export function readable(address) {
  try {
    return decodeURI(address);
  } catch {
    return address;
  }
}

/**
 * This page for another device, without TLS: with one that it does not trust, a device would warn first. What stands
 * after `#` is left out: it may be an invite, and whoever is on the way can read what goes without TLS.
 * @param {string} here @returns {string}
 */
export function forOthers(here) {
  const { protocol, hostname, port, pathname } = new URL(here);
  // One port speaks both, whatever its number.
  const at = port || (protocol === "https:" ? "443" : "");
  return `http://${hostname}${at && at !== "80" ? `:${at}` : ""}${pathname}`;
}
