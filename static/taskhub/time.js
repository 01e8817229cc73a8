/** Times as people say them, kept true while they pass. `tasks.dashboard.moments` says them in the same words. */

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;

let ahead = 0; // milliseconds by which the server's clock is ahead of ours

/** Learn the server's clock from a timestamp that it has only just written. */
export function setServerTime(timestamp, now = Date.now()) {
  ahead = Date.parse(timestamp) - now;
}

/** A moment so many seconds ago (negative: ahead), as "ago", "for" (how long it lasts), "due" or "retry" (when it starts), "left" (to its end). */
export function said(kind, seconds) {
  const past = Math.max(Math.trunc(seconds), 0);
  if (kind === "ago") return past ? `${short(past)} ago` : "now";
  if (kind === "left") return seconds < 0 ? `about ${precise(Math.ceil(-seconds))} left` : "";
  if (kind === "for" || (kind === "due" && seconds >= 0)) return `for ${precise(past)}`;
  if (seconds >= 0) return "retry due";
  const wait = `in ${short(Math.trunc(-seconds))}`;
  return kind === "retry" ? `retry ${wait}` : wait;
}

function short(seconds) {
  for (const [unit, name] of [[DAY, "d"], [HOUR, "h"], [MINUTE, "m"]]) {
    if (seconds >= unit) return `${Math.trunc(seconds / unit)}${name}`;
  }
  return `${seconds}s`;
}

function precise(seconds) {
  const of = (unit) => Math.trunc(seconds / unit);
  const two = (number) => String(number).padStart(2, "0");
  if (seconds >= DAY) return `${of(DAY)}d ${Math.trunc((seconds % DAY) / HOUR)}h`;
  if (seconds >= HOUR) return `${of(HOUR)}h ${two(Math.trunc((seconds % HOUR) / MINUTE))}m`;
  if (seconds >= MINUTE) return `${of(MINUTE)}m ${two(seconds % MINUTE)}s`;
  return `${seconds}s`;
}

/** Says every `<time data-moment="kind">` below `root` anew. */
export function refreshTimes(root = document, now = Date.now()) {
  for (const element of root.querySelectorAll("time[data-moment]")) {
    const seconds = (now + ahead - Date.parse(element.dateTime)) / 1000;
    const text = said(element.dataset.moment, seconds);
    if (element.textContent !== text) element.textContent = text;
  }
}

/** Lets `element` hold the moment that `timestamp` says, or none. */
export function showMoment(element, kind, timestamp) {
  if (!timestamp) return element.replaceChildren();
  if (!element.firstElementChild) element.append(document.createElement("time"));
  element.firstElementChild.dataset.moment = kind;
  element.firstElementChild.dateTime = timestamp;
  refreshTimes(element);
}

/** Keeps the page's times true, as long as it can be seen. */
export function keepTimes() {
  const tick = () => document.visibilityState === "visible" && refreshTimes();
  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", tick);
}
