/** The ways to the relay. */

/** @import { RelayTransport } from "./lanturn.js" */

/**
 * Keeps only the ways to the relay that were asked for.
 * @param {RTCIceServer[]} servers @param {RelayTransport} [transport] @returns {RTCIceServer[]}
 */
export function onlyTransport(servers, transport) {
  if (!transport) return servers;
  const wanted = { udp: /^turn:.*transport=udp/, tcp: /^turn:.*transport=tcp/, tls: /^turns:/ }[transport];
  return servers
    .map((server) => ({ ...server, urls: [server.urls].flat().filter((url) => wanted.test(url)) }))
    .filter((server) => server.urls.length > 0);
}
