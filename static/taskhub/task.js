/** One task, live. Progress and status change at once; timeline, attempts and facts are rendered by the server. */

import { wireActions } from "./actions.js";
import { showConnection } from "./connection.js";
import { wireDialogs } from "./dialogs.js";
import { flash } from "./rows.js";
import { setStatus } from "./status.js";
import { TaskStream } from "./stream.js";
import { keepTimes, refreshTimes, setServerTime } from "./time.js";

const LOOK_MS = 150;
const REASON_MS = 10_000; // why a task waits changes without any event of its own
const page = document.getElementById("task");
const { id, cursor } = page.dataset;
const stream = new TaskStream(`/api/v1/tasks/${id}/stream`, { since: cursor || null });
let looking = null;

function take(event) {
  if (event.version <= Number(page.dataset.version)) return;
  page.dataset.version = event.version;
  setStatus(page.querySelector(".task-status .chip"), event.status);
  for (const element of page.querySelectorAll(".task-head, .task-progress")) element.dataset.status = event.status;
  if (event.type === "task_progress") showProgress(event);
  else look();
}

function showProgress({ percent, message }) {
  const box = page.querySelector(".task-progress");
  box.removeAttribute("data-unknown");
  box.querySelector("progress").value = percent ?? 0;
  box.querySelector("[data-percent]").textContent = `${Math.floor(percent ?? 0)}%`;
  box.querySelector("[data-message]").textContent = message;
}

function showLog({ seq, level, message, timestamp }) {
  const lines = document.getElementById("log-lines");
  if (Number(lines.lastElementChild?.dataset.seq ?? 0) >= seq) return;
  const line = document.createElement("li");
  Object.assign(line.dataset, { seq, level });
  const time = Object.assign(document.createElement("time"), { dateTime: timestamp, textContent: timestamp.slice(11, 19) });
  const words = Object.assign(document.createElement("span"), { textContent: message });
  line.append(time, " ", Object.assign(document.createElement("b"), { textContent: level }), " ", words);
  const atEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 24;
  lines.append(line);
  document.getElementById("logs").hidden = false;
  if (atEnd) lines.scrollTop = lines.scrollHeight;
  flash(line, "arrived");
}

// -- What the server renders

function look() {
  looking ??= setTimeout(() => renew().catch(() => {}).then(() => (looking = null)), LOOK_MS);
}

async function renew() {
  const response = await fetch(location.pathname, { headers: { "HX-Request": "true" } });
  if (!response.ok) throw new Error(`the page answered ${response.status}`);
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html").body;
  refreshTimes(fresh);
  for (const region of fresh.querySelectorAll("[data-region]")) renewRegion(region);
}

function renewRegion(fresh) {
  const region = page.querySelector(`[data-region=${fresh.dataset.region}]`);
  if (region.innerHTML === fresh.innerHTML || region.querySelector("[aria-busy=true]")) return;
  if (fresh.querySelector(":scope > [data-key]")) renewList(region, fresh);
  else region.replaceChildren(...fresh.childNodes);
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

stream.on("task_updated", take);
stream.on("task_progress", take);
stream.on("task_log", showLog);
stream.on("hello", ({ timestamp }) => setServerTime(timestamp));
stream.on("resync", renew);
document.addEventListener("task-acted", look);

setInterval(() => document.visibilityState === "visible" && page.querySelector(".reason") && look(), REASON_MS);

setServerTime(document.body.dataset.now);
showConnection(stream);
keepTimes();
wireActions();
wireDialogs();
