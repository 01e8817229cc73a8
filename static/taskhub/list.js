/**
 * The live task list. Events change rows where they stand and say where to look; the server renders every row and
 * decides what matches the filters.
 */

import { wireActions } from "./actions.js";
import { call } from "./api.js";
import { MOST_ROWS, arrive, forgetWaiting, leave, showNew, waitingRow, wireArrivals } from "./arrivals.js";
import { showConnection } from "./connection.js";
import { showCounts } from "./counts.js";
import { wireDialogs } from "./dialogs.js";
import { wireFilters } from "./filters.js";
import { wireKeys } from "./keys.js";
import { Lookups } from "./lookups.js";
import { flash, patchRow, renewRow } from "./rows.js";
import { TaskStream } from "./stream.js";
import { wireSubmit } from "./submit.js";
import { keepTimes, setServerTime } from "./time.js";

const FRAME_MS = 40;
const COUNTS_MS = 5000; // how often counts are fetched while there are no sockets

const list = () => document.getElementById("list");
const rows = () => document.getElementById("rows");
const rowOf = (id) => waitingRow(id) ?? document.getElementById(`task-${id}`);

const lookups = new Lookups(() => list().dataset.rowsUrl + location.search, receive);
const stream = new TaskStream("/api/v1/stream", { since: list().dataset.cursor, batch: true });
const latest = new Map(); // kind and task -> event that is yet to be shown
let applying = null;
let filters = {}; // of the address
let followed = null; // the queue that we are subscribed to
let missed = null; // events that come while the whole list is being fetched: the answer may not know them

// -- Events

function take(event) {
  missed?.push(event);
  latest.set(`${event.type} ${event.task_id}`, event);
  applying ??= setTimeout(apply, FRAME_MS);
}

/** A busy hub tells a row more often than anybody can see: only the last of each kind counts. */
function apply() {
  applying = null;
  const events = [...latest.values()].sort((a, b) => a.version - b.version);
  latest.clear();
  for (const event of events) {
    const row = rowOf(event.task_id);
    if (row) change(row, event);
    else if (mayAppear(event)) lookups.look(event.task_id);
  }
}

function change(row, event) {
  if (!patchRow(row, event) || event.type === "task_progress") return;
  flash(row, "changed");
  lookups.renew(event.task_id);
  if (filters.status && event.status !== filters.status) leave(row);
  else row.classList.remove("left");
}

/** Whether the task belongs on this page as far as its event tells; the server has the last word. */
function mayAppear({ type, task_id, task_name, queue, status }) {
  const fits = (name, value) => !filters[name] || filters[name] === value;
  if (list().hasAttribute("data-frozen")) return false;
  if (!fits("status", status) || !fits("queue", queue) || !fits("name", task_name)) return false;
  if (type !== "task_created" && !filters.status) return false;
  return isRoomFor(task_id);
}

function isRoomFor(id) {
  const shown = rows()?.children ?? [];
  return shown.length < MOST_ROWS || id > shown[shown.length - 1].dataset.id;
}

// -- What the server renders

function receive(rendered) {
  if (!rows()) return rendered.length && reload(); // the list was empty: it has no table yet
  for (const row of rendered.filter((row) => rowOf(row.dataset.id))) renewRow(rowOf(row.dataset.id), row);
  arrive(rendered.filter((row) => !rowOf(row.dataset.id)));
}

function reload() {
  return htmx.ajax("GET", location.pathname + location.search, { target: "#list", swap: "outerHTML" });
}

/** After a gap: nothing that the page shows can be trusted until the server has rendered it again. */
async function resync() {
  for (let wait = 500, before = list(); ; wait = Math.min(2 * wait, 10_000)) {
    await reload().catch(() => {});
    if (list() !== before) return;
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

/** The list is another one: under other filters, or fetched again. */
function begin() {
  filters = Object.fromEntries(new URLSearchParams(location.search));
  forgetWaiting();
  lookups.forget();
  follow();
  const events = missed ?? [];
  missed = null;
  events.forEach(take);
}

function follow() {
  const queue = filters.queue ?? "*";
  if (queue === followed) return;
  if (followed) stream.unsubscribe({ queue: followed });
  stream.subscribe({ queue, since: followed ? list().dataset.cursor : undefined });
  followed = queue;
}

async function fetchCounts() {
  if (stream.state === "polling") await call("GET", "/queue/status").then(showCounts, () => {});
}

for (const type of ["task_created", "task_updated", "task_progress"]) stream.on(type, take);
for (const type of ["hello", "heartbeat"]) stream.on(type, ({ timestamp }) => setServerTime(timestamp));
stream.on("queue_status", showCounts);
stream.on("resync", resync);
stream.on("status", ({ state }) => state === "live" && lookups.resume());
setInterval(fetchCounts, COUNTS_MS);

document.addEventListener("task-acted", ({ detail: { id } }) => lookups.renew(id));
document.addEventListener("visibilitychange", () => lookups.resume());
document.addEventListener("htmx:beforeRequest", () => (missed ??= []));
document.addEventListener("htmx:afterSwap", begin);

setServerTime(document.body.dataset.now);
showConnection(stream);
begin();
keepTimes();
wireActions();
wireArrivals();
wireDialogs();
wireFilters();
wireSubmit();
wireKeys({ showNew });
