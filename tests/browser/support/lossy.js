/** A UDP path to the box that loses packets, for a page that relays over it. */

import { createSocket } from "node:dgram";

/** @import { Socket } from "node:dgram" */
/** @import { Page } from "puppeteer-core" */
/** @import { Box } from "./box.js" */

export class LossyPath {
  #near = createSocket("udp4");
  /** Our sockets towards the box, by the page's address. @type {Map<string, Socket>} */
  #far = new Map();
  #count = 0;
  /** The share of packets that do not come, either way. */
  loss = 0;

  /** @param {Box} box */
  constructor(box) {
    this.boxPort = Number(new URL(box.url).port);
    this.#near.on("message", (packet, { address, port }) => {
      if (!this.#isLost()) this.#towards(address, port).send(packet, this.boxPort, "127.0.0.1");
    });
  }

  /** @param {Box} box */
  static async to(box) {
    const path = new LossyPath(box);
    await new Promise((resolve) => path.#near.bind(0, "127.0.0.1", () => resolve(undefined)));
    return path;
  }

  /** From now on the page reaches the relay by this path. @param {Page} page */
  async lead(page) {
    await page.evaluate((from, to) => {
      const Real = RTCPeerConnection;
      const led = (/** @type {RTCConfiguration} */ configuration) => ({
        ...configuration,
        iceServers: configuration.iceServers?.map((server) => ({
          ...server,
          urls: [server.urls].flat().map((url) => url.replace(`:${from}`, `:${to}`)),
        })),
      });
      globalThis.RTCPeerConnection = class extends Real {
        constructor(/** @type {RTCConfiguration} */ configuration = {}) {
          super(led(configuration));
        }
        /** @override @param {RTCConfiguration} configuration */
        setConfiguration(configuration) {
          super.setConfiguration(led(configuration));
        }
      };
    }, this.boxPort, this.#near.address().port);
  }

  stop() {
    for (const socket of [this.#near, ...this.#far.values()]) socket.close();
  }

  /** The same packets of any run, more or less: each so-manyth. */
  #isLost() {
    this.#count = (this.#count + this.loss) % 1;
    return this.loss > 0 && this.#count < this.loss;
  }

  /** @param {string} address @param {number} port */
  #towards(address, port) {
    const key = `${address}:${port}`;
    const known = this.#far.get(key);
    if (known) return known;
    const socket = createSocket("udp4");
    socket.on("message", (packet) => {
      if (!this.#isLost()) this.#near.send(packet, port, address);
    });
    this.#far.set(key, socket);
    return socket;
  }
}
