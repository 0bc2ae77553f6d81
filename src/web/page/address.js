/** What the page's address says: the room, who it is for, and what support asks to try. */

/** @import { JoinOptions } from "../lanturn.js" */

/** The room that the address names. @returns {string} */
export function addressedRoom() {
  const [, encoded] = location.pathname.match(/^\/r\/([^/]+)\/?$/) ?? [];
  try {
    return decodeURIComponent(encoded ?? "");
  } catch {
    return "";
  }
}

/** The fragment, which no server is sent. */
const fragment = () => new URLSearchParams(location.hash.replace(/^#\??/, ""));

/** @param {string} key */
const said = (key) => fragment().get(key) ?? new URLSearchParams(location.search).get(key);

/** Whether the address is that of somebody who is invited to watch. */
export const isViewer = () => said("role") === "viewer";

/** What the address says of how to enter. @returns {JoinOptions} */
export function addressedOptions() {
  /** @type {JoinOptions} */
  const options = {};
  options.invite = fragment().get("invite") ?? undefined;
  if (said("policy") === "relay") options.iceTransportPolicy = "relay";
  const transport = said("transport");
  if (transport === "udp" || transport === "tcp" || transport === "tls") options.relayTransport = transport;
  return options;
}

/** @param {string} room */
export const pathOf = (room) => `/r/${encodeURIComponent(room)}`;

/** The link says who it is for, so that a page of a viewer asks for no camera. @param {string} room @param {string} invite @param {string} role */
export function inviteLink(room, invite, role) {
  return `${location.origin}${pathOf(room)}#invite=${encodeURIComponent(invite)}&role=${role}`;
}

/** Whether the address has an invite, which is to the room that it names. */
export const isInvited = () => fragment().has("invite");

/** An invite that is none any more, or is for another room, is not tried again, nor is the page any more for watching only. */
export function forgetInvite() {
  const query = new URLSearchParams(location.search);
  query.delete("role");
  history.replaceState(null, "", location.pathname + (query.size > 0 ? `?${query}` : ""));
}
