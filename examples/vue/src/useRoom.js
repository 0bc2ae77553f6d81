/**
 * A room of lanturn as state of a component: who is here, what is on, what went wrong. It is left when the component goes.
 *
 * Room, Media and peers are never made reactive themselves: Vue would wrap them in a proxy, and neither a MediaStream nor
 * a class with private fields works through one. `refresh` copies what the template needs instead.
 */

import { onScopeDispose, shallowReactive } from "vue";

const BOX = import.meta.env.VITE_BOX;
/** What changes something that the template shows. */
const EVENTS = ["peer", "peer-left", "renamed", "state", "presence", "stream", "screen", "muted", "away", "back", "joined"];

export function useRoom() {
  const state = shallowReactive({
    /** "out", "entering" or "in". */
    phase: "out",
    away: false,
    camera: false,
    microphone: false,
    preview: null,
    people: [],
    /** A stable id: of the box, or why a device can't be had. */
    problem: "",
  });
  let room = null;
  let media = null;
  let attempt = null;
  let gone = false;

  function refresh() {
    state.camera = media?.track("video") !== undefined;
    state.microphone = media?.track("audio") !== undefined;
    state.preview = state.camera ? { stream: media.stream, tracks: media.stream.getTracks() } : null;
    state.away = room !== null && !room.connected;
    // New objects, so that whoever shows a stream looks at its tracks again.
    state.people = [...(room?.peers.values() ?? [])].map(({ id, name, state, stream }) => ({
      id,
      name: name || "Guest",
      state,
      stream,
      tracks: stream.getTracks(),
    }));
  }

  async function load() {
    // From the box itself, so that both speak the same version.
    const module = await import(/* @vite-ignore */ `${BOX}/lanturn.js`).catch((error) => {
      throw Object.assign(error, { id: "unreachable" });
    });
    if (media) return module;
    media = new module.Media();
    media.addEventListener("change", refresh);
    media.addEventListener("refused", (event) => (state.problem = event.detail));
    return module;
  }

  async function enter(name, displayName) {
    attempt = new AbortController();
    Object.assign(state, { phase: "entering", problem: "" });
    try {
      const { join } = await load();
      const entered = await join(BOX, name, { name: displayName, media, signal: attempt.signal });
      room = entered;
      for (const type of EVENTS) entered.addEventListener(type, refresh);
      entered.addEventListener("closed", ({ detail }) => closed(entered, detail.reason));
      state.phase = "in";
    } catch (error) {
      const problem = error.name === "AbortError" ? "" : (error.id ?? error.name);
      Object.assign(state, { phase: "out", problem });
    }
    refresh();
  }

  function closed(left, reason) {
    if (room !== left) return;
    room = null;
    media.stop("audio", "video");
    Object.assign(state, { phase: "out", problem: reason === "left" ? "" : reason });
    refresh();
  }

  /** Before, in or after a call; it need not be on at all. */
  async function toggle(kind) {
    state.problem = "";
    try {
      await load();
    } catch (error) {
      state.problem = error.id;
      return;
    }
    if (gone) return;
    if (media.track(kind)) media.stop(kind);
    else await media.start(kind);
  }

  function leave() {
    attempt?.abort();
    media?.stop("audio", "video");
  }

  onScopeDispose(() => {
    gone = true;
    leave();
    media?.close();
  });
  return { state, enter, toggle, leave };
}
