/** The badge that says whether what you see is true, and if not, since when. */

import { said } from "./time.js";
import { toast } from "./toast.js";

const WORDS = {
  connecting: "Reconnecting",
  live: "Live",
  polling: "Polling",
  offline: "Offline",
  resyncing: "Catching up",
};

const ENDS = {
  4401: { word: "Signed out", title: "You are signed out", detail: "This page no longer updates.", link: true },
  4403: { word: "Forbidden", title: "You may no longer see this", detail: "This page no longer updates." },
  4404: { word: "Gone", title: "This task is gone", detail: "It was removed from the hub." },
};
const ENDED = { word: "Disconnected", title: "The hub ended the connection", detail: "Reload the page to go on." };

/** Keeps the badge and the page's `data-stale` in step with the stream. */
export function showConnection(stream, badge = document.getElementById("connection")) {
  const words = badge.querySelector("span");
  const heard = badge.querySelector("time");
  let everLive = false;

  const showAge = () => {
    const age = stream.heardAt === null ? null : said("ago", (Date.now() - stream.heardAt) / 1000);
    badge.title = age ? `Last heard from the hub ${age}` : "Not heard from the hub yet";
    heard.hidden = stream.state === "live" || !age;
    heard.textContent = age ?? "";
  };

  const show = ({ state, code }) => {
    everLive ||= state === "live" || state === "polling";
    badge.dataset.state = state;
    const end = state === "closed" ? (ENDS[code] ?? ENDED) : null;
    words.textContent = end?.word ?? (state === "connecting" && !everLive ? "Connecting" : WORDS[state]);
    document.body.toggleAttribute("data-stale", state === "offline" || state === "closed");
    showAge();
    if (end) tellEnd(end);
  };

  show({ state: stream.state });
  stream.on("status", show);
  setInterval(showAge, 1000);
}

function tellEnd({ title, detail, link }) {
  const here = encodeURIComponent(location.pathname + location.search);
  toast({ kind: "error", title, detail, link: link && { href: `${document.body.dataset.login}?next=${here}`, text: "Sign in" } });
}
