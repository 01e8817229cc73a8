/**
 * Buttons that act on a task or a pipeline: `data-action`, and `data-task` or `data-pipeline`. The page learns the
 * outcome by a "task-acted" event.
 */

import { call } from "./api.js";
import { toastProblem } from "./toast.js";

export function wireActions(root = document) {
  root.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-action]");
    if (button && !isBusy(button)) act(button);
  });
}

async function act(button) {
  const { action, task, pipeline } = button.dataset;
  const id = task ?? pipeline;
  setBusy(button, true);
  try {
    tell(id, await call("POST", `/${task ? "tasks" : "pipelines"}/${id}/${action}`));
  } catch (problem) {
    toastProblem(problem);
    tell(id, null); // what we showed was wrong: look again
  } finally {
    setBusy(button, false);
  }
}

function tell(id, task) {
  document.dispatchEvent(new CustomEvent("task-acted", { detail: { id, task } }));
}

const isBusy = (button) => button.getAttribute("aria-busy") === "true";

function setBusy(button, busy) {
  for (const sibling of button.parentElement.querySelectorAll("button[data-action]")) sibling.disabled = busy;
  button.setAttribute("aria-busy", busy);
}
