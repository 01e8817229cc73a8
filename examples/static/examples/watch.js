/** Shows one job, live: watch.html?task=<id>. Where no WebSocket gets through, the stream polls; this page need not know. */

import { TaskStream } from "/static/taskhub/stream.js";

const id = new URLSearchParams(location.search).get("task");
const part = (name) => document.getElementById(name);
let version = 0; // of what is shown: an older answer may come later

async function get(path) {
  const response = await fetch(path, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error((await response.json()).detail);
  return response.json();
}

async function load() {
  const task = await get(`/api/v1/tasks/${id}`);
  if (task.version < version) return;
  version = task.version;
  part("name").textContent = task.name;
  showProgress(task.progress);
  showEnd(task);
}

function showProgress({ percent, message }) {
  part("bar").value = percent ?? 0;
  part("percent").textContent = `${Math.floor(percent ?? 0)}%`;
  part("message").textContent = message;
}

function showEnd({ status, result, error }) {
  const failed = error !== null && status !== "completed" && status !== "processing";
  part("failure").hidden = !failed;
  part("failure").textContent = failed ? `${status}: ${error.detail}` : "";
  part("result").hidden = status !== "completed";
  part("result").textContent = JSON.stringify(result, null, 2);
}

function take(event) {
  if (event.version <= version) return;
  if (event.type === "task_updated") return load();
  version = event.version;
  showProgress(event);
}

try {
  const { cursor } = await get("/api/v1/events?since=now"); // before the job is read: what comes after is told
  await load();
  const stream = new TaskStream("/api/v1/stream", { since: cursor });
  stream.on("task_updated", take);
  stream.on("task_progress", take);
  stream.on("resync", load);
  stream.on("status", ({ state }) => (part("connection").textContent = state));
  stream.subscribe({ task_id: id });
} catch (error) {
  part("failure").hidden = false;
  part("failure").textContent = error.message;
}
