/** The keyboard's way through the list. Rows are moved to by real focus, so Enter opens one by itself. */

import { openDialog } from "./dialogs.js";

export function wireKeys({ showNew }) {
  const acts = {
    "/": () => document.getElementById("q").select(),
    j: () => move(1),
    k: () => move(-1),
    n: () => openDialog("submit"),
    ".": showNew,
    "?": () => openDialog("shortcuts"),
    Escape: leave,
  };
  document.addEventListener("keydown", (event) => {
    const act = acts[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]") || (isTyping(event.target) && event.key !== "Escape")) return;
    event.preventDefault();
    act();
  });
}

const isTyping = (element) => element instanceof Element && element.matches("input:not([type=radio]), textarea, select");

function move(step) {
  const links = [...document.querySelectorAll("#rows .row-link")];
  const now = links.indexOf(document.activeElement?.closest(".row")?.querySelector(".row-link"));
  const next = now < 0 ? 0 : Math.min(Math.max(now + step, 0), links.length - 1);
  links[next]?.focus();
  links[next]?.closest(".row").scrollIntoView({ block: "nearest" });
}

function leave() {
  const search = document.getElementById("q");
  if (document.activeElement === search && search.value) {
    search.value = "";
    search.dispatchEvent(new Event("change", { bubbles: true }));
  } else {
    document.activeElement?.blur();
  }
}
