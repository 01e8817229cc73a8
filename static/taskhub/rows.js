/** Rows of the task list: changed in place by events, and made whole by what the server renders. */

import { showProgress } from "./progress.js";
import { setStatus } from "./status.js";

/** Applies an event to a row. Returns false when the row knew it already. */
export function patchRow(row, event) {
  if (event.version <= Number(row.dataset.version)) return false;
  row.dataset.version = event.version;
  row.dataset.status = event.status;
  setStatus(row.querySelector(".chip"), event.status);
  if (event.attempt !== undefined) row.querySelector("[data-attempt]").textContent = event.attempt;
  showDoing(row.querySelector("[data-progress]"), event);
  return true;
}

function showDoing(doing, event) {
  const tells = event.type === "task_progress";
  doing.hidden = event.status !== "processing" || (doing.hidden && !tells);
  if (tells) showProgress(doing, event);
}

/** The rows in a piece of HTML from the server. */
export function parseRows(html) {
  const template = document.createElement("template");
  template.innerHTML = `<table><tbody>${html}</tbody></table>`;
  return [...template.content.querySelectorAll("tr")];
}

/** Brings a row to what the server rendered, unless it knows more by now. Cells that did not change stay untouched. */
export function renewRow(row, fresh) {
  if (Number(fresh.dataset.version) < Number(row.dataset.version)) return;
  Object.assign(row.dataset, fresh.dataset);
  [...fresh.cells].forEach((cell, index) => renewCell(row.cells[index], cell));
}

function renewCell(cell, fresh) {
  if (cell.innerHTML === fresh.innerHTML || cell.querySelector("[aria-busy=true]")) return;
  const focused = cell.contains(document.activeElement) ? document.activeElement.dataset.action : undefined;
  cell.replaceChildren(...fresh.childNodes);
  if (focused) (cell.querySelector(`[data-action=${focused}]`) ?? cell.querySelector("button"))?.focus();
}

/** Puts a row where its id belongs: the newest first. */
export function placeRow(rows, row) {
  const after = [...rows.children].find((other) => other.dataset.id < row.dataset.id);
  rows.insertBefore(row, after ?? null);
}

/** Draws the eye for a moment. */
export function flash(row, how) {
  if (row.classList.contains(how)) return;
  row.classList.add(how);
  row.addEventListener("animationend", () => row.classList.remove(how), { once: true });
}
