/** A reverse proxy without TLS that says it had some: its pages are what a browser calls insecure. */

import { createServer, request } from "node:http";
import { outerAddress } from "./outer.js";

/** @import { AddressInfo } from "node:net" */
/** @import { Box } from "./box.js" */

export class PlainProxy {
  /** @param {Box} box which lists 127.0.0.1 in `listen.proxies` */
  constructor(box) {
    const port = Number(new URL(box.url).port);
    this.server = createServer((near, answer) => {
      const headers = { ...near.headers, "x-forwarded-for": near.socket.remoteAddress, "x-forwarded-proto": "https" };
      const far = request({ host: "127.0.0.1", port, method: near.method, path: near.url, headers }, (reply) => {
        answer.writeHead(reply.statusCode ?? 502, reply.headers);
        reply.pipe(answer);
      });
      far.on("error", () => answer.destroy());
      near.pipe(far);
    });
  }

  /** @param {Box} box */
  static async before(box) {
    const proxy = new PlainProxy(box);
    await new Promise((resolve) => proxy.server.listen(0, "0.0.0.0", () => resolve(undefined)));
    return proxy;
  }

  /** By an address that no browser takes for its own machine's. */
  get url() {
    return `http://${outerAddress()}:${/** @type {AddressInfo} */ (this.server.address()).port}`;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
