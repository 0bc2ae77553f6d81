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

/** @returns {JoinOptions} */
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

/** An invite that is none any more is not tried again. */
export function forgetInvite() {
  history.replaceState(null, "", location.pathname + location.search);
}
