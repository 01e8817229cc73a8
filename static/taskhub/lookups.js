/** Rows that the server shall render: asked for together, at most every so often, and not while nobody looks. */

import { parseRows } from "./rows.js";

const PAUSE_MS = 400;
const MOST_IDS = 100;

export class Lookups {
  #address;
  #receive;
  #wanted = new Set();
  #timer = null;

  /** `address()` says where rows come from; `receive(rows)` gets those that belong on the list. */
  constructor(address, receive) {
    this.#address = address;
    this.#receive = receive;
  }

  want(id) {
    this.#wanted.add(id);
    this.resume();
  }

  /** Goes on with what could not be asked for before: the page was hidden, or the hub away. */
  resume() {
    if (this.#wanted.size > 0) this.#timer ??= setTimeout(() => this.#look(), PAUSE_MS);
  }

  forget() {
    this.#wanted.clear();
  }

  async #look() {
    if (document.visibilityState === "visible") await this.#ask();
    this.#timer = null;
  }

  async #ask() {
    const ids = [...this.#wanted].sort().slice(-MOST_IDS); // of more, the newest: the page has no room for the others
    this.#wanted.clear();
    try {
      this.#receive(await this.#fetch(ids));
      setTimeout(() => this.resume());
    } catch {
      ids.forEach((id) => this.#wanted.add(id));
    }
  }

  async #fetch(ids) {
    const address = new URL(this.#address(), location.href);
    address.searchParams.set("ids", ids.join());
    const response = await fetch(address, { headers: { "HX-Request": "true" } });
    if (!response.ok) throw new Error(`rows answered ${response.status}`);
    return parseRows(await response.text());
  }
}
