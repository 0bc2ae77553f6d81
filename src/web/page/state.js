/** What every part of the page looks at: the room that it is in, and what it sends. */

import { Media } from "../media.js";
import { keep, recall } from "./kept.js";

/** @import { Media as MediaApi, Room, VideoSettings } from "../lanturn.js" */

/** @type {MediaApi} */
export const media = /** @type {any} */ (new Media());

/** The room; for support, and for tests, also in the browser's console. @type {{room: Room | null}} */
export const state = { room: null };
Object.assign(globalThis, { lanturn: state });

/** Has the quality of the last visit; what a newer page does not know any more is passed over. */
export function restoreQuality() {
  try {
    const { camera, screen, audio } = JSON.parse(recall("quality") || "{}");
    const change = { camera: chosen(camera), screen: chosen(screen), audio };
    void media.setQuality(change).catch(() => keep("quality", ""));
  } catch {
    keep("quality", "");
  }
}

/** @param {Record<string, unknown> | undefined} kept @returns {VideoSettings | undefined} */
function chosen(kept) {
  return kept && Object.fromEntries(Object.entries(kept).map(([field, value]) => [field, value ?? undefined]));
}
