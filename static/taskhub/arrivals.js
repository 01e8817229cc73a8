/** Rows that come and go. They do so while nobody reads the table; else the new ones wait behind "N new". */

import { flash, placeRow } from "./rows.js";

export const MOST_ROWS = 100;
const LEAVE_MS = 4000; // how long a row that no longer matches stays
const GLANCE_MS = 800; // how long the pointer may be off the table, on its way to "N new" say
const ATTENTION = ".tasks:hover, #news:hover, .tasks :focus-visible, dialog[open]";

const waiting = new Map(); // id -> row that is ready but would disturb
const table = () => document.getElementById("rows");
const button = () => document.getElementById("news");

export function wireArrivals() {
  const look = () => waiting.size && arrive();
  document.addEventListener("mouseout", () => setTimeout(look, GLANCE_MS));
  document.addEventListener("scroll", () => scrollY === 0 && look(), { passive: true });
  document.addEventListener("click", (event) => event.target.closest("#news") && showNew());
}

export function waitingRow(id) {
  return waiting.get(id);
}

export function forgetWaiting() {
  waiting.clear();
}

/** Lets rows in that belong on the list; call it without any to look whether those that wait may come now. */
export function arrive(rows = []) {
  for (const row of rows) waiting.set(row.dataset.id, row);
  for (const id of [...waiting.keys()].sort().slice(0, -MOST_ROWS)) waiting.delete(id);
  if (isReading()) offer();
  else letIn();
}

export function showNew() {
  scrollTo({ top: 0 });
  letIn();
}

/** The row no longer matches the filter: it steps back at once, and goes when nobody reads. */
export function leave(row) {
  row.classList.add("left");
  setTimeout(() => depart(row), LEAVE_MS);
}

function depart(row) {
  if (!row.classList.contains("left")) return;
  if (isReading()) setTimeout(() => depart(row), LEAVE_MS);
  else row.remove();
}

function isReading() {
  return scrollY > 60 || document.querySelector(ATTENTION) !== null;
}

function offer() {
  const count = waiting.size < MOST_ROWS ? waiting.size : `${MOST_ROWS}+`;
  button().lastElementChild.textContent = `${count} new`;
  button().hidden = waiting.size === 0;
}

function letIn() {
  for (const row of waiting.values()) {
    placeRow(table(), row);
    flash(row, "arrived");
  }
  waiting.clear();
  button().hidden = true;
  while (table().childElementCount > MOST_ROWS) table().lastElementChild.remove();
}
