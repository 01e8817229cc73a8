/** The list of pipelines, live: an event of any of them lets the server render the page again. */

import { showConnection } from "./connection.js";
import { regionsOf } from "./regions.js";
import { TaskStream } from "./stream.js";
import { keepTimes, setServerTime } from "./time.js";

const LOOK_MS = 500; // a busy hub has news all the time
const page = document.getElementById("pipelines");
const { look, renew } = regionsOf(page, undefined, LOOK_MS);
const stream = new TaskStream("/api/v1/stream", { since: page.dataset.cursor || null, batch: true });

stream.on("*", (event) => event.pipeline_id && event.event_id && look());
stream.on("hello", ({ timestamp }) => setServerTime(timestamp));
stream.on("heartbeat", ({ timestamp }) => setServerTime(timestamp));
stream.on("resync", renew);
stream.subscribe({ pipeline_id: "*" });

page.closest("main").querySelector("select[name=status]").addEventListener("change", (event) => event.target.form.submit());

setServerTime(document.body.dataset.now);
showConnection(stream);
keepTimes();
