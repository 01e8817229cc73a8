/** Parts of a page that the server renders anew: `data-region`. What has not changed stays as it is. */

import { flash } from "./rows.js";
import { refreshTimes } from "./time.js";

const LOOK_MS = 150;
const RETRY_MS = 2000;

/**
 * Below `page`. `look` renews soon, however often it is called meanwhile; `renew` at once, and says when it is done.
 * `spacing` is the least time between two looks, in milliseconds.
 */
export function regionsOf(page, afterwards = () => {}, spacing = LOOK_MS) {
  let wanted = false;
  let looking = null;

  async function renew() {
    const response = await fetch(location.href, { headers: { "HX-Request": "true" } });
    if (!response.ok) throw Object.assign(new Error(`the page answered ${response.status}`), { status: response.status });
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html").body;
    refreshTimes(fresh);
    for (const region of fresh.querySelectorAll("[data-region]")) renewRegion(page, region);
    afterwards();
  }

  function look() {
    wanted = true;
    looking ??= keepLooking().finally(() => (looking = null));
  }

  /** What happens while the server renders may be missing in its answer: then it is asked once more. */
  async function keepLooking() {
    while (wanted) {
      await pause(spacing);
      wanted = false;
      await renew().catch(comeAgain);
    }
  }

  async function comeAgain({ status }) {
    if (status >= 400 && status < 500) return;
    await pause(RETRY_MS);
    wanted = true;
  }

  return { look, renew };
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function renewRegion(page, fresh) {
  const region = page.querySelector(`[data-region=${fresh.dataset.region}]`);
  if (region.innerHTML === fresh.innerHTML || region.querySelector("[aria-busy=true]")) return;
  if (fresh.dataset.status) region.dataset.status = fresh.dataset.status;
  if (fresh.querySelector(":scope > [data-key]")) renewList(region, fresh);
  else if (!renewParts(region, fresh)) region.replaceChildren(...fresh.childNodes);
}

/** Exchanges only those `data-part`s that differ: nothing else moves or blinks. False when there are others than before. */
function renewParts(region, fresh) {
  const [present, coming] = [region, fresh].map((root) => [...root.querySelectorAll("[data-part]")]);
  if (!present.length || present.map(nameOf).join("\n") !== coming.map(nameOf).join("\n")) return false;
  present.forEach((part, index) => part.outerHTML !== coming[index].outerHTML && part.replaceWith(coming[index]));
  return true;
}

function nameOf(part) {
  return part.dataset.part;
}

/** The newest is first. What has not changed stays as it is: open details, a selection. */
function renewList(list, fresh) {
  const keyOf = (item) => Number(item.dataset.key);
  for (const item of [...fresh.children]) {
    const present = [...list.children].find((other) => keyOf(other) === keyOf(item));
    if (present && present.dataset.outcome === item.dataset.outcome) continue;
    if (present) present.replaceWith(item);
    else list.insertBefore(item, [...list.children].find((other) => keyOf(other) < keyOf(item)) ?? null);
    flash(item, "arrived");
  }
}
