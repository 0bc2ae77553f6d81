/**
 * Browsers that trust the box's authority as a person's would after installing it: no certificate error is ignored.
 * Both keep such authorities in an NSS database: Chromium in the home directory, Firefox in its profile.
 */

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import puppeteer from "puppeteer-core";

/** @import { Browser } from "puppeteer-core" */
/** @typedef {"chromium" | "firefox"} Kind */

/** @type {Kind[]} */
export const KINDS = ["chromium", "firefox"];

const run = promisify(execFile);
const LAUNCH_MS = 60_000;
const CLOSE_MS = 5_000;

const CHROMIUM_FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--use-fake-device-for-media-stream=device-count=2",
  "--use-fake-ui-for-media-stream",
];

const FIREFOX_PREFS = {
  "media.navigator.streams.fake": true,
  "media.navigator.permission.disabled": true,
  // Loopback is otherwise no candidate, and names in .local need a resolver that a test machine may not have.
  "media.peerconnection.ice.loopback": true,
  "media.peerconnection.ice.obfuscate_host_addresses": false,
};

const REFUSING_FLAGS = [...CHROMIUM_FLAGS.filter((flag) => !flag.includes("fake-ui")), "--deny-permission-prompts"];
/** 2: block (nsIPermissionManager). */
const REFUSING_PREFS = {
  ...FIREFOX_PREFS,
  "media.navigator.permission.disabled": false,
  "permissions.default.camera": 2,
  "permissions.default.microphone": 2,
};

/** @param {Kind} kind @returns {string} */
export function executable(kind) {
  const places = {
    chromium: [process.env.CHROMIUM_BIN, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"],
    firefox: [process.env.FIREFOX_BIN, "/usr/bin/firefox-esr", "/usr/bin/firefox"],
  }[kind];
  const found = places.find((place) => place && existsSync(place));
  if (!found) throw new Error(`no ${kind} here: install it, or name it in ${kind.toUpperCase()}_BIN`);
  return found;
}

/** A running browser of one kind, with a home directory of its own. */
export class TestBrowser {
  /** @param {Kind} kind @param {Browser} browser @param {string} home */
  constructor(kind, browser, home) {
    this.kind = kind;
    this.browser = browser;
    this.home = home;
  }

  /**
   * @param {Kind} kind @param {string | null} authority the file of the certificate to trust, if one is
   * @param {{refuses?: boolean}} [options] refuses: as a person does who is asked for the camera
   */
  static async launch(kind, authority, { refuses = false } = {}) {
    const home = await mkdtemp(join(tmpdir(), `lanturn-${kind}-`));
    const profile = join(home, "profile");
    if (authority) await trust(kind === "chromium" ? join(home, ".pki", "nssdb") : profile, authority);
    const common = {
      executablePath: executable(kind),
      headless: true,
      timeout: LAUNCH_MS,
      protocolTimeout: LAUNCH_MS,
      userDataDir: profile,
      env: { ...process.env, HOME: home, XDG_CONFIG_HOME: join(home, ".config"), XDG_CACHE_HOME: join(home, ".cache") },
    };
    const own =
      kind === "chromium"
        ? { browser: /** @type {const} */ ("chrome"), args: refuses ? REFUSING_FLAGS : CHROMIUM_FLAGS }
        : { browser: /** @type {const} */ ("firefox"), extraPrefsFirefox: refuses ? REFUSING_PREFS : FIREFOX_PREFS };
    return new TestBrowser(kind, await puppeteer.launch({ ...common, ...own }), home);
  }

  /** Ends it at once, as a crash would: nothing in it gets to say goodbye. */
  kill() {
    this.browser.process()?.kill("SIGKILL");
  }

  async close() {
    const child = this.browser.process();
    const running = child && child.exitCode === null && child.signalCode === null;
    const gone = running ? new Promise((resolve) => child.once("exit", resolve)) : undefined;
    const late = setTimeout(() => child?.kill("SIGKILL"), CLOSE_MS);
    await this.browser.close().catch(() => {});
    await gone;
    clearTimeout(late);
    await rm(this.home, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** @param {string} database a directory @param {string} authority */
async function trust(database, authority) {
  await mkdir(database, { recursive: true });
  await run("certutil", ["-N", "-d", `sql:${database}`, "--empty-password"]);
  await run("certutil", ["-A", "-d", `sql:${database}`, "-t", "C,,", "-n", "lanturn", "-i", authority]);
}
