/** A site that is not the box's, with pages as others write them and the libraries as npm installed them. */

import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

/** @import { AddressInfo } from "node:net" */
/** @import { Box } from "./box.js" */

const PAGES = fileURLToPath(new URL(".", import.meta.url));
const LIBRARIES = fileURLToPath(new URL("../node_modules/", import.meta.url));
const TYPES = /** @type {Record<string, string>} */ ({ ".html": "text/html; charset=utf-8" });
/** What a browser looks for in a package, in its order of preference. */
const CONDITIONS = ["browser", "module", "import", "default"];

export class Site {
  #server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? "", "http://site").pathname));
    const file = path.startsWith("/node_modules/") ? join(LIBRARIES, path.slice(14)) : join(PAGES, path);
    const type = TYPES[extname(file)] ?? "text/javascript";
    if (!existsSync(file)) return response.writeHead(404).end();
    const text = readFileSync(file, "utf8");
    response.setHeader("content-type", type).end(type === "text/javascript" ? text : this.#filledIn(text));
  });
  /** The box whose address stands in the pages. @type {Box | undefined} */
  box;

  /** Starts at a free port. */
  static async start() {
    const site = new Site();
    await new Promise((resolve) => site.#server.listen(0, "127.0.0.1", () => resolve(undefined)));
    return site;
  }

  get origin() {
    return `http://localhost:${/** @type {AddressInfo} */ (this.#server.address()).port}`;
  }

  stop() {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** The pages name the box that the documentation names. @param {string} page */
  #filledIn(page) {
    if (!this.box) throw new Error("the site has not been told of the box");
    const { host, port } = new URL(this.box.url);
    const key = readFileSync(join(this.box.dir, "certs", "api.keys"), "utf8").trim().split("\n").at(-1);
    return page
      .replaceAll("//192.168.1.5:3478", `//${host}`)
      .replaceAll("host: '192.168.1.5', port: 3478", `host: 'localhost', port: ${port}`)
      .replaceAll("key=…", `key=${key}`)
      .replace("IMPORTS", () => JSON.stringify({ imports: imports() }));
  }
}

/** Where the modules of y-webrtc are, for an import map. */
function imports() {
  // The one that is no module: a script of its own has put it there.
  const all = /** @type {Record<string, string>} */ ({
    "simple-peer/simplepeer.min.js": "data:text/javascript,export default SimplePeer",
  });
  for (const name of ["yjs", "lib0", "y-protocols", "isomorphic.js", "y-webrtc"]) {
    const { exports } = JSON.parse(readFileSync(join(LIBRARIES, name, "package.json"), "utf8"));
    const hasPaths = Object.keys(exports).some((path) => path.startsWith("."));
    for (const [path, target] of Object.entries(hasPaths ? exports : { ".": exports })) {
      const file = chosen(target);
      if (file && !path.includes("*")) all[name + path.slice(1)] = `/node_modules/${name}${file.slice(1)}`;
    }
  }
  return all;
}

/** @param {any} target @returns {string | undefined} */
function chosen(target) {
  if (typeof target === "string") return target;
  const condition = CONDITIONS.find((each) => target?.[each]);
  return condition && chosen(target[condition]);
}
