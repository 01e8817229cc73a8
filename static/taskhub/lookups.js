/** Rows that the server shall render: asked for together, at most every so often, and not while nobody looks. */

import { parseRows } from "./rows.js";

const PAUSE_MS = 400;
const MOST_NEW = 100; // the page has no room for more

export class Lookups {
  #address;
  #receive;
  #shown = new Set();
  #unseen = new Set();
  #timer = null;

  /** `address()` says where rows come from; `receive(rows)` gets those that belong on the list. */
  constructor(address, receive) {
    this.#address = address;
    this.#receive = receive;
  }

  /** A row that the page has shall be rendered anew. */
  renew(id) {
    this.#shown.add(id);
    this.resume();
  }

  /** A task that the page has no row of may belong on it. Of many the newest count. */
  look(id) {
    this.#unseen.add(id);
    if (this.#unseen.size > 10 * MOST_NEW) this.#unseen = new Set(this.#newest());
    this.resume();
  }

  /** Goes on with what could not be asked for before: the page was hidden, or the hub away. */
  resume() {
    if (this.#shown.size + this.#unseen.size > 0) this.#timer ??= setTimeout(() => this.#work(), PAUSE_MS);
  }

  forget() {
    this.#shown.clear();
    this.#unseen.clear();
  }

  async #work() {
    const worked = document.visibilityState === "visible" && (await this.#ask([...this.#shown], this.#newest()));
    this.#timer = null;
    if (worked) this.resume();
  }

  async #ask(shown, unseen) {
    this.forget();
    try {
      this.#receive(await this.#fetch([...shown, ...unseen]));
      return true;
    } catch {
      shown.forEach((id) => this.#shown.add(id));
      unseen.forEach((id) => this.#unseen.add(id));
      return false;
    }
  }

  async #fetch(ids) {
    const address = new URL(this.#address(), location.href);
    address.searchParams.set("ids", ids.join());
    const response = await fetch(address, { headers: { "HX-Request": "true" } });
    if (!response.ok) throw new Error(`rows answered ${response.status}`);
    return parseRows(await response.text());
  }

  #newest() {
    return [...this.#unseen].sort().slice(-MOST_NEW);
  }
}
