/** How the connection to somebody is, in words. */

import { t } from "./i18n.js";

/** @import { Key } from "./i18n.js" */
/** @import { Peer } from "../lanturn.js" */
/** @import { Stats } from "../lanturn.js" */

/** @param {Peer} peer @param {Stats | null} stats @returns {string} */
export function connectionWords(peer, stats) {
  if (peer.away && peer.state !== "connected") return t("away");
  if (peer.state === "idle") return t("watching");
  if (peer.state === "connecting") return t("connecting");
  if (peer.state === "reconnecting") return t("reconnecting");
  if (peer.state === "failed") return t("lost");
  const words = stats?.selectedPair ? [t(pathKey(stats.selectedPair))] : [];
  if (peer.stream.getTracks().length === 0) words.push(t("watching"));
  else if (peer.stream.getVideoTracks().length === 0 || peer.muted.video) words.push(t("noVideo"));
  if (peer.away) words.push(t("away"));
  return words.join(" · ");
}

/** The figures of a connection: the round trip, the size of the picture. @param {Stats | null} stats @returns {string} */
export function connectionFigures(stats) {
  const figures = [];
  const trip = stats?.selectedPair?.roundTripTime;
  if (trip) figures.push(`${Math.max(1, Math.round(trip * 1000))} ms`);
  if (stats?.frameWidth) figures.push(`${stats.frameWidth}×${stats.frameHeight}`);
  return figures.join(" · ");
}

/** @param {NonNullable<Stats["selectedPair"]>} pair @returns {Key} */
function pathKey(pair) {
  if (pair.localType !== "relay") return pair.remoteType === "relay" ? "relay" : "direct";
  if (!pair.relayProtocol) return "relay";
  return /** @type {const} */ ({ udp: "relayUdp", tcp: "relayTcp", tls: "relayTls" })[pair.relayProtocol];
}
