/** What lies between a page and the box, so that a test can cut it: a page alone can only close its connection. */

import { connect, createServer } from "node:net";

/** @import { AddressInfo, Socket } from "node:net" */
/** @import { Box } from "./box.js" */

/** The first byte of a TLS connection (RFC 8446 section 5.1). */
const TLS_HANDSHAKE = 0x16;

export class Wire {
  #server;
  /** @type {Set<Socket>} */
  #sockets = new Set();
  #deaf = false;
  /** While it does, no TLS connection gets through. */
  refusesTls = false;

  /** @param {Box} box */
  constructor(box) {
    const port = Number(new URL(box.url).port);
    this.#server = createServer((near) => this.#join(near, connect(port, "127.0.0.1")));
  }

  /** @param {Box} box @param {string} [address] where it listens */
  static async to(box, address = "127.0.0.1") {
    const wire = new Wire(box);
    await new Promise((resolve) => wire.#server.listen(0, address, () => resolve(undefined)));
    return wire;
  }

  get port() {
    return /** @type {AddressInfo} */ (this.#server.address()).port;
  }

  /** The box's address on this side. */
  get url() {
    return `https://localhost:${this.port}`;
  }

  /** Every connection that runs over it drops. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
    this.#deaf = false;
  }

  /** From now on all is lost that is sent, either way, and nobody is told; until it is cut. */
  deafen() {
    this.#deaf = true;
  }

  stop() {
    this.cut();
    this.#server.close();
  }

  /** @param {Socket[]} ends */
  #join(...ends) {
    ends[0].once("data", (data) => {
      if (this.refusesTls && data[0] === TLS_HANDSHAKE) ends[0].destroy();
    });
    for (const [end, other] of [ends, ends.toReversed()]) {
      this.#sockets.add(end);
      end.on("data", (data) => !this.#deaf && other.write(data));
      end.on("error", () => {});
      end.on("close", () => {
        this.#sockets.delete(end);
        other.destroy();
      });
    }
  }
}
