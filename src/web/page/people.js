/** Who is here, how the calls with them are, and, for the host, the way to send somebody away. */

import { button, confirmed, element, make, makeButton, paintLetter } from "./dom.js";
import { t } from "./i18n.js";
import { tileOf } from "./tiles.js";

/** @import { Room } from "../lanturn.js" */

/** What to call somebody. @param {{id: string, name?: string}} person */
export function nameOf(person) {
  return person.name || t("guest", { tag: person.id.slice(0, 4) });
}

/** @param {Room} room @param {string} id */
export async function sendAway(room, id) {
  const peer = room.peers.get(id);
  if (!peer) return;
  if (await confirmed(t("kickSure", { name: nameOf(peer) }), t("kick"))) room.kick(id);
}

/** @type {Map<string, Row>} */
const rows = new Map();

class Row {
  #letter = make("span", "letter");
  #name = make("span", "name");
  #state = make("span", "state");
  #kick = makeButton("quiet kick");

  /** @param {string} id @param {() => void} kick */
  constructor(id, kick) {
    this.id = id;
    this.#letter.setAttribute("aria-hidden", "true");
    this.#kick.addEventListener("click", kick);
    const who = make("span", "who", this.#name, this.#state);
    this.element = make("li", "", this.#letter, who, this.#kick);
    this.element.dataset.peer = id;
  }

  /** @param {{name: string, isHost: boolean, state: string, canKick: boolean}} person */
  show({ name, isHost, state, canKick }) {
    const words = [...(isHost ? [t("isHost")] : []), ...(state ? [state] : [])].join(" · ");
    paintLetter(this.#letter, this.id, name);
    this.#name.textContent = name;
    if (this.#state.textContent !== words) this.#state.textContent = words;
    this.#kick.hidden = !canKick;
    this.#kick.textContent = t("kick");
    this.#kick.setAttribute("aria-label", `${t("kick")}: ${name}`);
  }
}

/** @param {Room} room @param {(id: string) => string} stateOf in words */
export function showPersons(room, stateOf) {
  const list = element("persons", HTMLElement);
  const here = [room.self, ...room.peers.values()];
  for (const [id, row] of rows) {
    if (here.some((person) => person.id === id)) continue;
    row.element.remove();
    rows.delete(id);
  }
  for (const person of here) {
    const own = person === room.self;
    let row = rows.get(person.id);
    if (!row) {
      row = new Row(person.id, () => void sendAway(room, person.id));
      rows.set(person.id, row);
      list.append(row.element);
    }
    const name = own ? (person.name ? t("youNamed", { name: person.name }) : t("you")) : nameOf(person);
    row.show({ name, isHost: room.host === person.id, state: stateOf(person.id), canKick: !own && room.host === room.self.id });
  }
  const names = [room.self.name || t("you"), ...[...room.peers.values()].map(nameOf)].join(", ");
  const facts = { count: room.peers.size + 1, capacity: room.capacity, names };
  button("people").textContent = t("people", facts);
  element("places", HTMLElement).textContent = t("places", facts);
}

export function forgetPersons() {
  rows.clear();
  element("persons", HTMLElement).replaceChildren();
}
