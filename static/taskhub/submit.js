/** The dialog that submits a task. The API decides what is valid; this shows its answer at the field that it names. */

import { call } from "./api.js";
import { toast } from "./toast.js";

const NUMBERS = ["priority", "delay", "max_attempts"];

export function wireSubmit() {
  const form = document.getElementById("submit-form");
  if (!form) return;
  const handlers = JSON.parse(document.getElementById("handlers").textContent);
  const { payload } = form.elements;
  let suggested = payload.value;

  const suggest = () => {
    const handler = handlers.find(({ name }) => name === form.elements.name.value);
    form.querySelector("[data-summary]").textContent = handler?.summary ?? "";
    form.elements.queue.placeholder = isCallback(form) ? "default" : (handler?.queue ?? "default");
    form.elements.max_attempts.placeholder = isCallback(form) ? 10 : (handler?.max_attempts ?? 10);
    if (payload.value !== suggested) return; // somebody has typed: it is theirs now
    payload.value = suggested = JSON.stringify(isCallback(form) ? {} : (handler?.example ?? {}), null, 2);
  };
  const choose = () => {
    for (const field of form.querySelectorAll("[data-kind]")) field.hidden = field.dataset.kind !== kindOf(form);
    suggest();
  };

  choose();
  form.addEventListener("change", choose);
  form.addEventListener("input", (event) => clear(event.target.closest("[data-field]")));
  payload.addEventListener("blur", () => show(form, payloadErrors(payload.value)));
  form.addEventListener("keydown", (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && form.requestSubmit());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
}

const kindOf = (form) => form.elements.kind.value;
const isCallback = (form) => kindOf(form) === "callback";

async function send(form) {
  form.querySelectorAll("[data-field]").forEach(clear);
  const wrong = payloadErrors(form.elements.payload.value);
  if (wrong.length) return show(form, wrong, true);
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  try {
    const task = await call("POST", "/tasks", request(form));
    form.closest("dialog").close();
    form.querySelector("[data-problem]").hidden = true;
    toast({ kind: "done", title: "Task submitted", link: { href: `/tasks/${task.id}/`, text: `Open ${task.name}` } });
  } catch (problem) {
    explain(form, problem);
  } finally {
    button.disabled = false;
  }
}

/**
 * What is left empty is not sent, so that the hub's own defaults hold. The payload goes as it was typed: numbers of
 * more than 53 bits would not survive a parse.
 */
function request(form) {
  const { elements } = form;
  const body = {};
  const what = isCallback(form) ? "callback_url" : "name";
  for (const field of [what, "queue"]) if (elements[field].value) body[field] = elements[field].value.trim();
  for (const field of NUMBERS) if (elements[field].value !== "") body[field] = Number(elements[field].value);
  const rest = JSON.stringify(body).slice(1, -1);
  return `{"payload": ${elements.payload.value}${rest && ", "}${rest}}`;
}

function payloadErrors(text) {
  try {
    const value = JSON.parse(text);
    const isObject = value !== null && typeof value === "object" && !Array.isArray(value);
    return isObject ? [] : [{ field: "payload", message: "The payload must be a JSON object: { … }." }];
  } catch (error) {
    return [{ field: "payload", message: `This is not JSON: ${error.message}` }];
  }
}

function explain(form, problem) {
  const unplaced = show(form, problem.errors, true);
  const notice = form.querySelector("[data-problem]");
  notice.hidden = problem.errors.length > 0 && unplaced.length === 0;
  notice.textContent = unplaced.map(({ field, message }) => `${field}: ${message}`).join(" ") || problem.message;
}

/** Writes each message below its field. Returns those whose field is not on the form. */
function show(form, errors, focus = false) {
  const unplaced = errors.filter((error) => !place(form, error));
  if (focus) form.querySelector("[aria-invalid=true]")?.focus();
  return unplaced;
}

function place(form, { field, message }) {
  const name = field.split(/[.[]/)[0];
  const box = form.querySelector(`[data-field="${CSS.escape(name)}"]:not([hidden])`);
  if (!box) return false;
  const below = box.querySelector(".wrong") ?? box.appendChild(document.createElement("p"));
  below.className = "wrong";
  below.id = `wrong-${name}`;
  below.textContent = field === name ? message : `${field}: ${message}`;
  const input = box.querySelector(".input");
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", below.id);
  return true;
}

function clear(box) {
  box?.querySelector(".wrong")?.remove();
  box?.querySelector("[aria-invalid]")?.removeAttribute("aria-invalid");
}
