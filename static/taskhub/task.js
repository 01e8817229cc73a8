/** One task, live. Progress and status change at once; timeline, attempts and facts are rendered by the server. */

import { wireActions } from "./actions.js";
import { showConnection } from "./connection.js";
import { wireDialogs } from "./dialogs.js";
import { showProgress } from "./progress.js";
import { regionsOf } from "./regions.js";
import { flash } from "./rows.js";
import { setStatus } from "./status.js";
import { TaskStream } from "./stream.js";
import { keepTimes, setServerTime } from "./time.js";

const REASON_MS = 10_000; // why a task waits changes without any event of its own
const page = document.getElementById("task");
const { id, cursor } = page.dataset;
const stream = new TaskStream(`/api/v1/tasks/${id}/stream`, { since: cursor || null });
const { look, renew } = regionsOf(page);

function take(event) {
  if (event.version <= Number(page.dataset.version)) return;
  page.dataset.version = event.version;
  setStatus(page.querySelector(".task-status .chip"), event.status);
  for (const element of page.querySelectorAll(".task-head, .task-progress")) element.dataset.status = event.status;
  if (event.type === "task_progress") showProgress(page.querySelector(".task-progress"), event);
  else look();
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
