/** The REST API, as the hub's own pages call it: with the session's cookie and its CSRF token. */

const ROOT = "/api/v1";

/** An answer other than 2xx, in the words of its problem+json; or no answer at all. */
export class Problem extends Error {
  constructor({ title, detail, errors = [] }, status = 0) {
    super(detail || title);
    this.title = title;
    this.detail = detail;
    this.errors = errors; // [{field, message}]
    this.status = status;
  }
}

/** The decoded answer. `body` is a value, or text that is JSON already. Throws a `Problem`. */
export async function call(method, path, body) {
  const headers = { Accept: "application/json", "X-CSRFToken": document.body.dataset.csrf };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const text = typeof body === "object" ? JSON.stringify(body) : body;
  const request = { method, headers, body: text, credentials: "same-origin" };
  const response = await fetch(ROOT + path, request).catch(() => {
    throw new Problem({ title: "The hub cannot be reached", detail: "Nothing was changed. Try again in a moment." });
  });
  if (!response.ok) throw await problemOf(response);
  return response.json();
}

async function problemOf(response) {
  const title = `The hub answered ${response.status}`;
  const problem = await response.json().catch(() => ({}));
  return new Problem({ title, ...problem }, response.status);
}
