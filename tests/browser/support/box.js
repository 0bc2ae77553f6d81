/** Starts the binary under test in a directory of its own, and stops it. */

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "./tab.js";

const READY_MS = 20_000;
const STOP_MS = 5_000;

/** @returns {string} */
function binary() {
  const target = fileURLToPath(new URL("../../../target/", import.meta.url));
  const places = [process.env.LANTURN_BIN, join(target, "release/lanturn"), join(target, "debug/lanturn")];
  const found = places.find((place) => place && existsSync(place));
  if (!found) throw new Error(`no binary to test: build it, or set LANTURN_BIN (looked at ${places.join(", ")})`);
  return found;
}

export class Box {
  #process;
  /** What it said, for a failing test to print. */
  log = "";
  url = "";

  /** @param {string} dir @param {Record<string, string>} env */
  constructor(dir, env) {
    this.dir = dir;
    this.#process = spawn(binary(), ["serve"], {
      cwd: dir,
      env: {
        ...process.env,
        LANTURN__LISTEN__ADDRESSES: "127.0.0.1:0",
        LANTURN__RELAY__ALLOW_LOOPBACK: "true",
        ...env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /**
   * Runs until it says `ready`. A second box in the directory of a first has the same certificates.
   * @param {{dir?: string, env?: Record<string, string>}} [options]
   */
  static async start({ dir, env = {} } = {}) {
    const box = new Box(dir ?? (await mkdtemp(join(tmpdir(), "lanturn-box-"))), env);
    await box.#ready();
    const at = box.log.match(/listening on (?:127\.0\.0\.1|0\.0\.0\.0):(\d+)/) ?? box.log.match(/https:\/\/127\.0\.0\.1:(\d+)/);
    if (!at) throw new Error(`the box did not say where it listens:\n${box.log}`);
    // By name, as Firefox needs one for `turns:`.
    box.url = `https://localhost:${at[1]}`;
    return box;
  }

  get authority() {
    return join(this.dir, "certs", "ca.pem");
  }

  /** @param {{keep?: boolean}} [options] keep: another box still needs the directory */
  async stop({ keep = false } = {}) {
    const child = this.#process;
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      await gone;
      clearTimeout(late);
    }
    if (!keep) await rm(this.dir, { recursive: true, force: true });
  }

  /** Has it read another configuration. @param {string} config */
  async reload(config) {
    await writeFile(join(this.dir, "config.toml"), config);
    const before = this.log.length;
    this.#process.kill("SIGHUP");
    await until("the box has reloaded", async () => /reloaded/.test(this.log.slice(before)));
  }

  #ready() {
    return new Promise((resolve, reject) => {
      const fail = (/** @type {string} */ why) => {
        this.#process.kill("SIGKILL");
        reject(new Error(`${why}:\n${this.log}`));
      };
      const late = setTimeout(() => fail("the box was not ready in time"), READY_MS);
      const hear = (/** @type {Buffer} */ text) => {
        this.log += text;
        if (!/^ready$/m.test(this.log)) return;
        clearTimeout(late);
        resolve(undefined);
      };
      this.#process.stdout.on("data", hear);
      this.#process.stderr.on("data", hear);
      this.#process.once("error", (error) => fail(`the box did not start: ${error.message}`));
      this.#process.once("exit", (code) => fail(`the box ended with ${code}`));
    });
  }
}
