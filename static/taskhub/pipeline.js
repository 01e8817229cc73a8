/** One pipeline, live. A step changes its status at once, a running one shows its progress; the server renders the rest. */

import { wireActions } from "./actions.js";
import { showConnection } from "./connection.js";
import { wireDialogs } from "./dialogs.js";
import { regionsOf } from "./regions.js";
import { label } from "./status.js";
import { TaskStream } from "./stream.js";
import { keepTimes, setServerTime } from "./time.js";

const MOST_FOLLOWED = 50; // running steps; a connection has 100 subscriptions
const DONE_WIDTH = 160; // of a step whose task is at 100 percent
const STATUS_OF = { StepStartEvent: "processing", StepCompleteEvent: "completed", StepErrorEvent: "dead_lettered" };

const page = document.getElementById("pipeline");
const { id, cursor } = page.dataset;
const stream = new TaskStream(`/api/v1/pipelines/${id}/stream`, { since: cursor || null });
const { look, renew } = regionsOf(page, renewed);
const followed = new Set();

function take(event) {
  if (event.version <= Number(page.dataset.version)) return;
  page.dataset.version = event.version;
  if (STATUS_OF[event.type]) show(event);
  if (event.type === "pipeline_progress") page.querySelector("[data-message]").textContent = event.message;
  look();
}

function show({ type, step_index }) {
  const node = document.getElementById(`step-${step_index}`);
  node.dataset.status = STATUS_OF[type];
  node.querySelector("use").setAttribute("href", `#status-${STATUS_OF[type]}`);
  node.querySelector("[data-note]").textContent = label(STATUS_OF[type]);
  node.querySelector(".done").setAttribute("width", 0);
}

function renewed() {
  follow();
  trace({ target: page.querySelector(".node:hover, .node:focus-visible") });
}

// -- The progress of the steps that run

function follow() {
  const running = [...page.querySelectorAll(".node[data-status=processing]")].map((node) => node.dataset.task);
  for (const task of followed) if (!running.includes(task)) leave(task);
  for (const task of running.slice(0, MOST_FOLLOWED - followed.size)) if (!followed.has(task)) join(task);
}

function join(task) {
  followed.add(task);
  stream.subscribe({ task_id: task, events: ["task_progress"] });
}

function leave(task) {
  followed.delete(task);
  stream.unsubscribe({ task_id: task });
}

function showProgress({ task_id, percent, message }) {
  const node = page.querySelector(`.node[data-task="${task_id}"]`);
  node?.querySelector(".done").setAttribute("width", Math.floor(((percent ?? 0) / 100) * DONE_WIDTH));
  if (node && message) node.querySelector("[data-note]").textContent = message.slice(0, 24);
}

// -- What leads to a step, and from it

function trace({ target }) {
  const step = target?.closest?.(".node")?.dataset.step;
  for (const line of page.querySelectorAll(".line")) {
    line.classList.toggle("traced", step !== undefined && (line.dataset.start === step || line.dataset.end === step));
  }
}

for (const type of [...Object.keys(STATUS_OF), "PipelineStartEvent", "PipelineCompleteEvent", "PipelineErrorEvent"]) {
  stream.on(type, take);
}
stream.on("pipeline_progress", take);
stream.on("task_progress", showProgress);
stream.on("hello", ({ timestamp }) => setServerTime(timestamp));
stream.on("resync", renew);
document.addEventListener("task-acted", look);
page.addEventListener("mouseover", trace);
page.addEventListener("focusin", trace);

setServerTime(document.body.dataset.now);
showConnection(stream);
keepTimes();
wireActions();
wireDialogs();
follow();
