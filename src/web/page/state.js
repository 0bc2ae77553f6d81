/** What every part of the page looks at: the room that it is in, and what it sends. */

import { Media } from "../lanturn.js";

/** @import { Room } from "../lanturn.js" */

export const media = new Media();

/** The room; for support, and for tests, also in the browser's console. @type {{room: Room | null}} */
export const state = { room: null };
Object.assign(globalThis, { lanturn: state });
