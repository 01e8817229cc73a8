/** Short notices at the bottom of the page. Errors stay until they are closed, the rest goes by itself. */

import { glyph, icon } from "./status.js";

const SHOWN_MS = 6000;

/** `link` is `{href, text}`; `kind` is "error" or "done". */
export function toast({ kind, title, detail, link }) {
  const box = document.createElement("div");
  box.className = "toast";
  box.dataset.status = kind === "error" ? "dead_lettered" : "completed";
  box.append(glyph(box.dataset.status), words(title, detail, link), closer(box));
  document.getElementById("toasts").append(box);
  if (kind !== "error") setTimeout(() => box.remove(), SHOWN_MS);
}

export function toastProblem(problem) {
  toast({ kind: "error", title: problem.title, detail: problem.detail });
}

function words(title, detail, link) {
  const text = document.createElement("div");
  text.append(Object.assign(document.createElement("strong"), { textContent: title }));
  if (detail && detail !== title) text.append(detail, " ");
  if (link) text.append(Object.assign(document.createElement("a"), { href: link.href, textContent: link.text }));
  return text;
}

function closer(box) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button plain only-icon";
  button.setAttribute("aria-label", "Close");
  button.append(icon("close"));
  button.addEventListener("click", () => box.remove());
  return button;
}
