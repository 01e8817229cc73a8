/**
 * The live task list. Rows change where they stand. New ones slide in while nobody reads, else they wait behind
 * "N new". The server renders every row and decides what matches the filters; events only say where to look.
 */

import { wireActions } from "./actions.js";
import { call } from "./api.js";
import { showConnection } from "./connection.js";
import { showCounts } from "./counts.js";
import { wireDialogs } from "./dialogs.js";
import { wireFilters } from "./filters.js";
import { wireKeys } from "./keys.js";
import { flash, parseRows, patchRow, placeRow, renewRow } from "./rows.js";
import { TaskStream } from "./stream.js";
import { wireSubmit } from "./submit.js";
import { keepTimes, setServerTime } from "./time.js";

const MOST_ROWS = 100;
const LOOK_MS = 400; // at most so often the server is asked for rows
const LEAVE_MS = 4000; // how long a row that no longer matches stays
const COUNTS_MS = 5000; // how often counts are fetched while there are no sockets

const list = () => document.getElementById("list");
const rows = () => document.getElementById("rows");
const filter = (name) => new URLSearchParams(location.search).get(name) ?? "";

const wanted = new Set(); // ids whose row the server shall render
const waiting = new Map(); // id -> row that is ready but would disturb
let missed = null; // events that come while the whole list is being fetched: the answer may not know them
let looking = null;

const stream = new TaskStream("/api/v1/stream", { since: list().dataset.cursor || null, batch: true });
let followed = null;

function follow() {
  const queue = filter("queue") || "*";
  if (queue === followed) return;
  if (followed) stream.unsubscribe({ queue: followed });
  stream.subscribe({ queue, since: followed ? list().dataset.cursor : undefined });
  followed = queue;
}

// -- Events

function take(event) {
  missed?.push(event);
  const row = rowOf(event.task_id);
  if (row) change(row, event);
  else if (mayAppear(event)) want(event.task_id);
}

function rowOf(id) {
  return waiting.get(id) ?? document.getElementById(`task-${id}`);
}

function change(row, event) {
  if (!patchRow(row, event) || event.type === "task_progress") return;
  flash(row, "changed");
  row.classList.toggle("left", Boolean(filter("status")) && event.status !== filter("status"));
  if (row.classList.contains("left")) setTimeout(() => letGo(row), LEAVE_MS);
  want(event.task_id);
}

/** Whether the task belongs on this page as far as its event tells; the server has the last word. */
function mayAppear({ type, task_id, task_name, queue, status }) {
  if (list().hasAttribute("data-frozen")) return false;
  const fits = (name, value) => !filter(name) || filter(name) === value;
  if (!fits("status", status) || !fits("queue", queue) || !fits("name", task_name)) return false;
  if (type !== "task_created" && !filter("status")) return false;
  const last = rows()?.lastElementChild?.dataset.id;
  return !last || rows().childElementCount < MOST_ROWS || task_id > last;
}

// -- Rows from the server

function want(id) {
  wanted.add(id);
  looking ??= setTimeout(look, LOOK_MS);
}

async function look() {
  if (document.visibilityState === "hidden") return (looking = null);
  const ids = [...wanted].sort().slice(-MOST_ROWS);
  wanted.clear();
  try {
    await fetchRows(ids);
  } catch {
    ids.forEach((id) => wanted.add(id)); // the next event or the next connection asks again
  }
  looking = null;
  if (wanted.size && stream.state === "live") looking = setTimeout(look, LOOK_MS);
}

async function fetchRows(ids) {
  if (ids.length === 0) return;
  const query = new URLSearchParams(location.search);
  query.set("ids", ids.join());
  const response = await fetch(`${list().dataset.rowsUrl}?${query}`, { headers: { "HX-Request": "true" } });
  if (!response.ok) throw new Error(`rows answered ${response.status}`);
  for (const fresh of parseRows(await response.text())) receive(fresh);
  showWaiting();
}

function receive(fresh) {
  const row = rowOf(fresh.dataset.id);
  if (row) renewRow(row, fresh);
  else waiting.set(fresh.dataset.id, fresh);
}

// -- New rows

function isReading() {
  const table = document.querySelector(".tasks");
  const held = table?.matches(":hover") || table?.querySelector(":focus-visible");
  return scrollY > 60 || Boolean(held) || Boolean(document.querySelector("dialog[open]"));
}

function showWaiting() {
  if (!isReading()) return letIn();
  const button = document.getElementById("news");
  button.hidden = waiting.size === 0;
  button.lastElementChild.textContent = `${waiting.size >= MOST_ROWS ? `${MOST_ROWS}+` : waiting.size} new`;
}

function letIn() {
  if (waiting.size === 0) return;
  if (!rows()) return reload(); // the page was empty: it has no table yet
  for (const row of waiting.values()) {
    placeRow(rows(), row);
    flash(row, "arrived");
  }
  waiting.clear();
  document.getElementById("news").hidden = true;
  while (rows().childElementCount > MOST_ROWS) rows().lastElementChild.remove();
}

function letGo(row) {
  if (!row.classList.contains("left")) return;
  if (isReading()) setTimeout(() => letGo(row), LEAVE_MS);
  else row.remove();
}

function showNew() {
  scrollTo({ top: 0 });
  letIn();
}

// -- The whole list anew

function reload() {
  return htmx.ajax("GET", location.pathname + location.search, { target: "#list", swap: "outerHTML" });
}

/** After a gap: nothing that the page shows can be trusted until the server has rendered it again. */
async function resync() {
  for (let wait = 500; ; wait = Math.min(2 * wait, 10_000)) {
    const before = list();
    await reload().catch(() => {});
    if (list() !== before) return;
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

function startAnew() {
  waiting.clear();
  wanted.clear();
  follow();
  const events = missed ?? [];
  missed = null;
  events.forEach(take);
}

async function fetchCounts() {
  if (stream.state === "polling") await call("GET", "/queue/status").then(showCounts, () => {});
}

stream.on("task_created", take);
stream.on("task_updated", take);
stream.on("task_progress", take);
stream.on("queue_status", showCounts);
stream.on("heartbeat", ({ timestamp }) => setServerTime(timestamp));
stream.on("hello", ({ timestamp }) => setServerTime(timestamp));
stream.on("resync", resync);
stream.on("status", ({ state }) => state === "live" && wanted.size && look());
setInterval(fetchCounts, COUNTS_MS);

document.addEventListener("task-acted", ({ detail: { id } }) => want(id));
document.addEventListener("visibilitychange", () => wanted.size && look());
document.addEventListener("click", (event) => event.target.closest("#news") && showNew());
document.addEventListener("mouseout", () => waiting.size && showWaiting());
document.addEventListener("scroll", () => waiting.size && scrollY === 0 && showWaiting(), { passive: true });
document.addEventListener("htmx:beforeRequest", () => (missed ??= []));
document.addEventListener("htmx:afterSwap", startAnew);

setServerTime(document.body.dataset.now);
showConnection(stream);
follow();
keepTimes();
wireActions();
wireDialogs();
wireFilters();
wireSubmit();
wireKeys({ showNew });
