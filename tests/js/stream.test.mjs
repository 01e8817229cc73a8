import assert from "node:assert/strict";
import { test } from "node:test";

import { FINAL_CODES, TaskStream, backoff } from "../../static/taskhub/stream.js";
import { Storage, open, page, refusal, settle, updated } from "./fakes.mjs";

const ids = (world) => world.frames.map((frame) => frame.event_id).filter(Boolean);

/** Moves on until the stream opens its next socket. */
async function nextSocket(world) {
  const before = world.sockets.length;
  while (world.sockets.length === before) await world.clock.advance(100);
}

/** Three tries that a proxy refuses: from then on the stream polls. */
async function block(world) {
  world.socket.drop(1006);
  await nextSocket(world);
  world.socket.drop(1006);
  await nextSocket(world);
  world.socket.drop(1006);
  await settle();
}

// -- Backoff

test("the wait is at least half a second and at most a doubling ceiling of 20 seconds", () => {
  const ceilings = [1, 2, 3, 4, 5, 6, 7, 50].map((failures) => backoff(failures, () => 1));
  assert.deepEqual(ceilings, [1000, 2000, 4000, 8000, 16_000, 20_000, 20_000, 20_000]);
  for (const failures of [1, 5, 50]) assert.equal(backoff(failures, () => 0), 500);
});

test("the jitter is full: it spreads over the whole range", () => {
  const waits = Array.from({ length: 1000 }, () => backoff(6));
  assert.ok(waits.every((wait) => wait >= 500 && wait <= 20_000));
  assert.ok(waits.some((wait) => wait < 5000) && waits.some((wait) => wait > 15_000));
});

// -- Close codes

test("the codes after which another try is useless are the contract's four", () => {
  assert.deepEqual([...FINAL_CODES.keys()], [4400, 4401, 4403, 4404]);
});

for (const code of [4400, 4401, 4403, 4404]) {
  test(`${code} ends the stream`, async () => {
    const world = await open();
    world.socket.hello();
    const told = [];
    world.stream.on("status", (status) => told.push(status));
    world.socket.drop(code);
    await world.clock.advance(600_000);
    assert.equal(world.sockets.length, 1);
    assert.deepEqual(told, [{ state: "closed", code, reason: FINAL_CODES.get(code) }]);
    assert.equal(world.clock.timers.size, 0);
  });
}

for (const code of [1000, 1001, 1006, 1011, 1012, 1013, 4408, 4429, 4999]) {
  test(`${code} is followed by another try`, async () => {
    const world = await open();
    world.socket.hello();
    world.socket.drop(code);
    assert.equal(world.stream.state, "connecting");
    await world.clock.advance(499);
    assert.equal(world.sockets.length, 1);
    await world.clock.advance(501);
    assert.equal(world.sockets.length, 2);
  });
}

test("waits double while nothing holds, and start afresh after a stable connection", async () => {
  const world = await open("/api/v1/stream", { env: { random: () => 1 } });
  for (const wait of [1000, 2000, 4000]) {
    world.socket.hello();
    world.socket.drop(1013);
    const tries = world.sockets.length;
    await world.clock.advance(wait - 1);
    assert.equal(world.sockets.length, tries);
    await world.clock.advance(1);
    assert.equal(world.sockets.length, tries + 1);
  }
  world.socket.hello();
  await world.clock.advance(10_000);
  world.socket.drop(1012);
  await world.clock.advance(1000);
  assert.equal(world.sockets.length, 5);
});

// -- Cursor

test("hello's cursor is taken only by a client that has none", async () => {
  const fresh = await open();
  fresh.socket.hello("c9");
  assert.equal(fresh.stream.cursor, "c9");

  const returning = await open("/api/v1/stream", { since: "c3" });
  returning.socket.hello("c9");
  assert.equal(returning.stream.cursor, "c3");
});

test("a reconnect asks for what came after the last event, in the address and for each subscription", async () => {
  const world = await open();
  world.stream.subscribe({ queue: "*", statuses: ["failed"] });
  world.socket.hello("c0");
  assert.deepEqual(world.socket.sent, [{ type: "subscribe", queue: "*", statuses: ["failed"] }]);
  world.socket.grant();
  world.socket.say(updated(1));
  world.socket.drop(1006);
  await world.clock.advance(1000);
  assert.equal(world.socket.url.href, "wss://hub.test/api/v1/stream?since=c1");
  world.socket.hello("c50");
  assert.deepEqual(world.socket.sent, [{ type: "subscribe", queue: "*", statuses: ["failed"], since: "c1" }]);
});

test("frames that are neither events nor heartbeats do not move the cursor", async () => {
  const world = await open("/api/v1/stream", { since: "c1" });
  world.socket.hello("c9");
  world.socket.say({ type: "subscribed", queue: "*", cursor: "c8", recovered: true });
  world.socket.say({ type: "queue_status", cursor: "c7" });
  assert.equal(world.stream.cursor, "c1");
  world.socket.say({ type: "heartbeat", cursor: "c9" });
  assert.equal(world.stream.cursor, "c9");
});

test("a batch is taken apart, and its last event sets the cursor", async () => {
  const world = await open("/api/v1/stream", { batch: true });
  world.stream.subscribe({ queue: "mail" });
  world.socket.hello();
  assert.deepEqual(world.socket.sent, [{ type: "subscribe", queue: "mail", batch: true }]);
  world.socket.grant();
  world.socket.say({ type: "batch", events: [updated(1), updated(2)] });
  assert.deepEqual(ids(world), ["e1", "e2"]);
  assert.equal(world.stream.cursor, "c2");
});

test("what comes before the last subscription is granted does not move the cursor: that one has missed more", async () => {
  const world = await open("/api/v1/stream", { since: "c0" });
  world.stream.subscribe({ queue: "a" });
  world.stream.subscribe({ queue: "b" });
  world.socket.hello();
  world.socket.say({ type: "subscribed", queue: "a", cursor: "c0", recovered: true });
  world.socket.say(updated(7, { queue: "a" }));
  assert.equal(world.stream.cursor, "c0");
  world.socket.drop(1006);
  await world.clock.advance(1000);
  world.socket.hello();
  assert.deepEqual(world.socket.sent.map(({ since }) => since), ["c0", "c0"]);
  world.socket.grant();
  world.socket.say(updated(7, { queue: "a" }));
  world.socket.say(updated(8));
  assert.deepEqual(ids(world), ["e7", "e8"]);
  assert.equal(world.stream.cursor, "c8");
});

const refused = { type: "error", code: "not_found", detail: "There is no such task.", task_id: "nobody's" };

test("a subscription that is refused is told with its key, holds nothing up, and is over", async () => {
  const world = await open();
  const told = [];
  world.stream.on("error", (error) => told.push(error));
  world.stream.subscribe({ task_id: "nobody's" });
  world.stream.subscribe({ queue: "a" });
  world.socket.hello();
  world.socket.say(refused);
  world.socket.say({ type: "subscribed", queue: "a", cursor: "c0", recovered: true });
  world.socket.say(updated(1));
  assert.deepEqual(told, [refused]);
  assert.equal(world.stream.cursor, "c1");
  world.socket.drop(1006);
  await nextSocket(world);
  world.socket.hello();
  assert.deepEqual(world.socket.sent, [{ type: "subscribe", queue: "a", since: "c1" }]);
});

test("what is refused is not polled for", async () => {
  const world = await open();
  world.stream.subscribe({ queue: "full" });
  world.stream.subscribe({ task_id: "t9" });
  world.socket.hello();
  world.socket.say({ ...refused, code: "too_many_subscriptions", task_id: undefined, queue: "full" });
  world.http.always = page([updated(1, { queue: "full" }), updated(2, { task_id: "t9" })], "c2");
  world.socket.drop(1006);
  await nextSocket(world);
  await block(world);
  assert.equal(world.http.requests[0].url.searchParams.get("task_id"), "t9");
  assert.deepEqual(ids(world), ["e2"]);
});

test("what was asked for again before its refusal came has the last word", async () => {
  const world = await open();
  world.socket.hello();
  world.stream.subscribe({ queue: "a" });
  world.stream.unsubscribe({ queue: "a" });
  world.stream.subscribe({ queue: "a" });
  world.socket.say({ ...refused, code: "too_many_subscriptions", task_id: undefined, queue: "a" });
  world.socket.say({ type: "unsubscribed", queue: "a" });
  world.socket.say({ type: "subscribed", queue: "a", cursor: "c0", recovered: true });
  world.socket.drop(1006);
  await nextSocket(world);
  world.socket.hello();
  assert.deepEqual(world.socket.sent.map(({ queue }) => queue), ["a"]);
});

test("a refusal that names no subscription ends none", async () => {
  const world = await open();
  world.stream.subscribe({ queue: "a", events: ["nonsense"] });
  world.socket.hello();
  world.socket.say({ type: "error", code: "invalid_frame", detail: "Invalid enum value." });
  world.socket.say({ type: "heartbeat", cursor: "c5" });
  assert.equal(world.stream.cursor, "c5");
});

test("the address's own subscription is waited for too", async () => {
  const world = await open("/api/v1/tasks/t1/stream", { since: "c0", token: "th_secret" });
  world.socket.hello();
  world.socket.say({ type: "error", code: "already_authenticated", detail: "By its cookie." });
  world.socket.say({ type: "heartbeat", cursor: "c5" });
  assert.equal(world.stream.cursor, "c0");
  world.socket.say({ type: "subscribed", task_id: "t1", cursor: "c0", recovered: true });
  world.socket.say({ type: "heartbeat", cursor: "c5" });
  assert.equal(world.stream.cursor, "c5");
});

test("the cursor survives a reload in storage", async () => {
  const storage = new Storage();
  const before = await open("/api/v1/stream", { storage });
  before.socket.hello("c0");
  before.socket.say(updated(4));
  before.stream.close();
  const after = await open("/api/v1/stream", { storage });
  assert.equal(after.socket.url.searchParams.get("since"), "c4");
  const elsewhere = await open("/api/v1/tasks/stream", { storage });
  assert.equal(elsewhere.socket.url.searchParams.get("since"), null);
});

test("a subscription made while live starts now, unless it says since when", async () => {
  const world = await open("/api/v1/stream", { since: "c5" });
  world.socket.hello();
  world.stream.subscribe({ task_id: "t1" });
  world.stream.subscribe({ task_id: "t2", since: "c2" });
  assert.deepEqual(world.socket.sent, [
    { type: "subscribe", task_id: "t1" },
    { type: "subscribe", task_id: "t2", since: "c2" },
  ]);
});

test("a subscription's own start is asked for again until its replay has begun", async () => {
  const world = await open("/api/v1/stream", { since: "c5" });
  world.stream.subscribe({ task_id: "t2", since: "c2" });
  world.socket.hello();
  world.socket.drop(1006);
  await world.clock.advance(1000);
  world.socket.hello();
  assert.equal(world.socket.sent[0].since, "c2");
  world.socket.grant();
  world.socket.say(updated(3));
  world.socket.drop(1006);
  await world.clock.advance(2000);
  world.socket.hello();
  assert.equal(world.socket.sent[0].since, "c3");
});

// -- Duplicates

test("an event comes once, whether it is known by its id or by task and version", async () => {
  const world = await open();
  world.socket.hello();
  world.socket.say(updated(1));
  world.socket.say(updated(1));
  world.socket.say({ type: "task_progress", task_id: "t1", version: 2, percent: 10 });
  world.socket.say({ type: "task_progress", task_id: "t1", version: 2, percent: 10 });
  world.socket.say({ type: "task_progress", task_id: "t2", version: 2, percent: 10 });
  assert.equal(world.frames.filter((frame) => frame.task_id).length, 3);
});

test("a duplicate still moves the cursor", async () => {
  const world = await open();
  world.socket.hello();
  world.socket.say(updated(1));
  world.socket.say({ ...updated(1), cursor: "c1b" });
  assert.equal(world.stream.cursor, "c1b");
});

test("log lines and counts are no duplicates of each other", async () => {
  const world = await open();
  world.socket.hello();
  for (let times = 0; times < 2; times++) {
    world.socket.say({ type: "queue_status", total_tasks: 1 });
    world.socket.say({ type: "task_log", task_id: "t1", seq: times, message: "x" });
  }
  assert.equal(world.frames.filter((frame) => frame.type !== "hello").length, 4);
});

// -- Subscriptions

test("the address's own subscription is not sent, but can be ended and stays ended", async () => {
  const world = await open("/api/v1/tasks/t1/stream");
  world.socket.hello();
  assert.deepEqual(world.socket.sent, []);
  world.stream.unsubscribe({ task_id: "t1" });
  assert.deepEqual(world.socket.sent, [{ type: "unsubscribe", task_id: "t1" }]);
  world.socket.drop(1012);
  await world.clock.advance(1000);
  world.socket.hello();
  assert.deepEqual(world.socket.sent, [{ type: "unsubscribe", task_id: "t1" }]);
});

test("the same key replaces, an ended subscription is forgotten", async () => {
  const world = await open();
  world.stream.subscribe({ queue: "a" });
  world.stream.subscribe({ queue: "a", statuses: ["failed"] });
  world.stream.subscribe({ queue: "b" });
  world.stream.unsubscribe({ queue: "b" });
  world.socket.hello();
  assert.deepEqual(world.socket.sent, [{ type: "subscribe", queue: "a", statuses: ["failed"] }]);
});

test("many subscriptions are asked for no faster than the server listens, and not on a socket that is gone", async () => {
  const world = await open();
  for (let n = 0; n < 40; n++) world.stream.subscribe({ queue: `q${n}` });
  world.socket.hello();
  assert.equal(world.socket.sent.length, 15);
  await world.clock.advance(9_999);
  assert.equal(world.socket.sent.length, 15);
  await world.clock.advance(1);
  assert.equal(world.socket.sent.length, 30);
  world.socket.drop(1006);
  await nextSocket(world);
  const [, before] = world.sockets.map((socket) => socket.sent.length);
  assert.equal(before, 0);
  world.socket.hello();
  await world.clock.advance(20_000);
  assert.deepEqual(world.socket.sent.map(({ queue }) => queue), Array.from({ length: 40 }, (_, n) => `q${n}`));
});

test("nonsense is refused at once", async () => {
  const { stream } = await open();
  assert.throws(() => stream.subscribe({}), TypeError);
  assert.throws(() => new TaskStream("https://hub.test/elsewhere"), TypeError);
});

// -- Credentials

test("a token goes into the first frame, never into the address", async () => {
  const world = await open("/api/v1/stream", { token: "th_secret" });
  world.socket.onopen();
  assert.deepEqual(world.socket.sent, [{ type: "authenticate", token: "th_secret" }]);
  assert.ok(!world.socket.url.href.includes("th_secret"));
});

test("each connection gets a new ticket; failing to get one is a failed try", async () => {
  const tickets = ["one", null, "two"];
  const ticket = async () => tickets.shift() ?? Promise.reject(new Error("no ticket"));
  const world = await open("/api/v1/stream", { ticket });
  world.socket.hello();
  assert.equal(world.socket.url.searchParams.get("ticket"), "one");
  assert.deepEqual(world.socket.sent, []);
  world.socket.drop(1012);
  await world.clock.advance(1000);
  assert.equal(world.sockets.length, 1);
  await world.clock.advance(2000);
  assert.equal(world.socket.url.searchParams.get("ticket"), "two");
});

// -- Dead connections

test("silence longer than one and a half heartbeats is a dead connection", async () => {
  const world = await open();
  world.socket.hello();
  await world.clock.advance(30_000);
  world.socket.say({ type: "heartbeat", cursor: "c1" });
  await world.clock.advance(37_400);
  assert.equal(world.stream.state, "live");
  await world.clock.advance(100);
  assert.equal(world.stream.state, "connecting");
  assert.ok(world.sockets[0].closed);
});

test("a socket that never says hello counts as a failed try", async () => {
  const world = await open();
  await world.clock.advance(6000);
  assert.ok(world.sockets[0].closed);
  await world.clock.advance(1000);
  assert.equal(world.sockets.length, 2);
});

test("after sleep a ping finds out whether the socket still lives", async () => {
  const world = await open();
  world.socket.hello();
  world.clock.sleep(20_000);
  world.window.dispatchEvent(new Event("online"));
  assert.deepEqual(world.socket.sent.at(-1), { type: "ping" });
  world.socket.say({ type: "pong" });
  await world.clock.advance(6000);
  assert.equal(world.stream.state, "live");
  world.document.dispatchEvent(new Event("visibilitychange"));
  await world.clock.advance(5000);
  assert.equal(world.stream.state, "connecting");
});

for (const [target, type] of [["window", "online"], ["window", "pageshow"], ["document", "visibilitychange"]]) {
  test(`${type} ends the wait for the next try`, async () => {
    const world = await open();
    world.socket.drop(1006);
    world[target].dispatchEvent(new Event(type));
    await settle();
    assert.equal(world.sockets.length, 2);
  });
}

test("becoming hidden wakes nothing", async () => {
  const world = await open();
  world.socket.drop(1006);
  world.document.visibilityState = "hidden";
  world.document.dispatchEvent(new Event("visibilitychange"));
  await settle();
  assert.equal(world.sockets.length, 1);
});

test("a closed stream hears nothing, not even the page", async () => {
  const world = await open();
  world.socket.hello();
  world.stream.close();
  world.window.dispatchEvent(new Event("online"));
  await world.clock.advance(60_000);
  assert.equal(world.sockets.length, 1);
  assert.equal(world.stream.state, "closed");
});

test("without a network the state is offline until a connection stands", async () => {
  const world = await open();
  world.navigator.onLine = false;
  world.socket.drop(1006);
  assert.equal(world.stream.state, "offline");
  world.navigator.onLine = true;
  world.window.dispatchEvent(new Event("online"));
  assert.equal(world.stream.state, "connecting");
  await settle();
  world.socket.hello();
  assert.deepEqual(world.states, ["offline", "connecting", "live"]);
});

// -- Resync

test("a resync lasts until the page has fetched everything anew", async () => {
  const world = await open();
  let fetched;
  world.stream.on("resync", () => new Promise((resolve) => (fetched = resolve)));
  world.socket.hello();
  world.socket.say({ type: "resync", reason: "too slow" });
  assert.equal(world.stream.state, "resyncing");
  fetched();
  await settle();
  assert.deepEqual(world.states, ["live", "resyncing", "live"]);
});

test("recovered: false is a resync too, and the lost cursor is given up", async () => {
  const world = await open("/api/v1/stream", { since: "ancient" });
  world.stream.subscribe({ queue: "*" });
  world.socket.hello("c9");
  world.socket.say({ type: "subscribed", queue: "*", cursor: "c8", recovered: false });
  assert.equal(world.stream.cursor, "c8");
  const { type, reason, queue } = world.frames.at(-1);
  assert.deepEqual({ type, reason, queue }, { type: "resync", reason: "not_recovered", queue: "*" });
});

test("in a log that was restored from a backup the same name is another event", async () => {
  const world = await open("/api/v1/stream", { since: "c0" });
  world.stream.subscribe({ queue: "*" });
  world.socket.hello();
  world.socket.grant();
  world.socket.say(updated(1));
  world.socket.drop(1012);
  await world.clock.advance(1000);
  world.socket.hello();
  world.socket.say({ type: "subscribed", queue: "*", cursor: "n0", recovered: false });
  world.socket.say({ ...updated(1), cursor: "n1" });
  assert.deepEqual(ids(world), ["e1", "e1"]);
});

test("recovered: true needs no resync", async () => {
  const world = await open("/api/v1/stream", { since: "c1" });
  world.socket.hello("c9");
  world.socket.say({ type: "subscribed", queue: "*", cursor: "c1", recovered: true });
  assert.ok(!world.frames.some((frame) => frame.type === "resync"));
});

// -- Listeners

test("a listener that throws costs the others nothing", async () => {
  const world = await open();
  world.stream.on("task_updated", () => {
    throw new Error("in the page");
  });
  const heard = [];
  const undo = world.stream.on("task_updated", (event) => heard.push(event.event_id));
  world.socket.hello();
  world.socket.say(updated(1));
  undo();
  world.socket.say(updated(2));
  assert.deepEqual(heard, ["e1"]);
  assert.equal(world.errors.length, 2);
  assert.equal(world.stream.cursor, "c2");
});

test("a listener that closes the stream hears no more, not even of the same batch", async () => {
  const world = await open();
  world.stream.on("task_updated", () => world.stream.close());
  world.socket.hello();
  world.socket.say({ type: "batch", events: [updated(1), updated(2)] });
  assert.deepEqual(ids(world), ["e1"]);
  assert.equal(world.clock.timers.size, 0);
});

// -- A long life

test("a day of drops, wakes and events leaves nothing behind", async () => {
  const world = await open();
  const listeners = { added: 0, removed: 0 };
  for (const target of [world.window, world.document]) {
    const { addEventListener, removeEventListener } = EventTarget.prototype;
    target.addEventListener = (...given) => (listeners.added++, addEventListener.apply(target, given));
    target.removeEventListener = (...given) => (listeners.removed++, removeEventListener.apply(target, given));
  }
  world.stream.subscribe({ queue: "*" });
  for (let minute = 0; minute < 24 * 60; minute++) {
    world.socket.hello();
    world.socket.grant();
    world.socket.say(updated(minute));
    world.window.dispatchEvent(new Event("online"));
    world.document.dispatchEvent(new Event("visibilitychange"));
    world.socket.say({ type: "heartbeat", cursor: `c${minute}` });
    await world.clock.advance(20_000);
    world.socket.drop(1006);
    await nextSocket(world);
  }
  assert.equal(listeners.added, 0);
  assert.ok(world.clock.timers.size <= 3, `${world.clock.timers.size} timers`);
  assert.ok(world.sockets.slice(0, -1).every(({ onmessage, onclose }) => onmessage === null && onclose === null));
  world.stream.close();
  await world.clock.advance(20_000);
  assert.equal(world.clock.timers.size, 0);
});

// -- Polling

test("three tries without a hello, and the stream polls from its cursor", async () => {
  const world = await open("/api/v1/stream", { since: "c0" });
  world.stream.subscribe({ queue: "*" });
  world.http.answers.push(page([updated(1)], "c1"), page([updated(1), updated(2)], "c2"));
  await block(world);
  assert.equal(world.stream.state, "polling");
  assert.equal(world.http.requests[0].url.href, "https://hub.test/api/v1/events?limit=500&since=c0");
  await world.clock.advance(3000);
  assert.equal(world.http.requests[1].url.searchParams.get("since"), "c1");
  assert.deepEqual(ids(world), ["e1", "e2"]);
});

test("a hello between failures postpones polling", async () => {
  const world = await open();
  for (let times = 0; times < 3; times++) {
    world.socket.drop(1006);
    await nextSocket(world);
    world.socket.drop(1006);
    await nextSocket(world);
    world.socket.hello();
    world.socket.drop(1012);
    await nextSocket(world);
  }
  assert.equal(world.http.requests.length, 0);
});

test("sockets are tried on, and take over with the cursor that polling reached", async () => {
  const world = await open("/api/v1/stream", { since: "c0" });
  world.stream.subscribe({ queue: "*" });
  world.http.always = page([updated(1)], "c1");
  await block(world);
  await nextSocket(world);
  world.socket.hello("c9");
  assert.equal(world.stream.state, "live");
  assert.equal(world.socket.sent[0].since, "c1");
  const polls = world.http.requests.length;
  world.socket.say(updated(1));
  await world.clock.advance(30_000);
  assert.equal(world.http.requests.length, polls);
  assert.deepEqual(ids(world), ["e1"]);
});

test("an answer that arrives after the socket took over is ignored", async () => {
  const world = await open("/api/v1/stream", { since: "c0" });
  world.stream.subscribe({ queue: "*" });
  let answer;
  world.http.always = { ok: true, json: () => new Promise((resolve) => (answer = resolve)) };
  await block(world);
  await nextSocket(world);
  world.socket.hello();
  world.socket.grant();
  world.socket.say(updated(5));
  answer({ results: [updated(1)], cursor: "c1", recovered: true });
  await settle();
  assert.equal(world.stream.cursor, "c5");
  assert.deepEqual(ids(world), ["e5"]);
});

test("only what is subscribed to comes through, and a single task is asked for by name", async () => {
  const world = await open();
  world.stream.subscribe({ queue: "mail", statuses: ["failed"], events: ["task_updated"] });
  const wanted = updated(1, { queue: "mail", status: "failed" });
  const others = [updated(2, { queue: "mail" }), updated(3, { status: "failed" }), { ...wanted, type: "task_created", event_id: "e4" }];
  world.http.always = page([wanted, ...others], "c4");
  await block(world);
  assert.deepEqual(ids(world), ["e1"]);

  const single = await open("/api/v1/tasks/t1/stream");
  single.http.always = page([], "c1");
  await block(single);
  assert.equal(single.http.requests[0].url.searchParams.get("task_id"), "t1");
});

test("a pipeline's events are for those who subscribed to pipelines, and a step's has no status to be filtered by", async () => {
  const step = { type: "StepStartEvent", event_id: "p1", cursor: "c1", pipeline_id: "p", task_id: "t1", version: 1 };
  const end = { type: "PipelineCompleteEvent", event_id: "p2", cursor: "c2", pipeline_id: "p", version: 2, status: "COMPLETED" };
  const queues = await open();
  queues.stream.subscribe({ queue: "*" });
  queues.http.always = page([step, updated(3), end], "c3");
  await block(queues);
  assert.deepEqual(ids(queues), ["e3"]);

  const pipelines = await open();
  pipelines.stream.subscribe({ pipeline_id: "p", statuses: ["completed"] });
  pipelines.http.always = page([step, updated(3), end], "c3");
  await block(pipelines);
  assert.deepEqual(ids(pipelines), ["p1", "p2"]);
});

test("a full page is followed by the next one at once", async () => {
  const world = await open();
  const many = Array.from({ length: 500 }, (_, n) => updated(n));
  world.http.answers.push(page(many, "c499"), page([], "c499"));
  await block(world);
  await world.clock.advance(0);
  assert.equal(world.http.requests.length, 2);
  await world.clock.advance(2999);
  assert.equal(world.http.requests.length, 2);
});

test("a poll that fails is offline; the first that works again tries the socket at once", async () => {
  const world = await open();
  await block(world);
  assert.equal(world.stream.state, "offline");
  world.http.always = page([], "c1");
  await world.clock.advance(750); // the poller's first wait; the socket's third is longer
  assert.equal(world.sockets.length, 4);
  assert.deepEqual(world.states, ["offline", "polling"]);
});

test("a poll from a cursor that is gone is a resync, and goes on from the new one", async () => {
  const world = await open("/api/v1/stream", { since: "ancient" });
  world.http.answers.push(page([], "c7", false), page([], "c7"));
  await block(world);
  assert.deepEqual(world.frames.at(-1), { type: "resync", reason: "not_recovered", recovered: false });
  await world.clock.advance(3000);
  assert.equal(world.http.requests[1].url.searchParams.get("since"), "c7");
});

test("without a cursor polling starts now, not at the beginning of the log", async () => {
  const world = await open();
  world.http.always = page([], "c1");
  await block(world);
  assert.equal(world.http.requests[0].url.searchParams.get("since"), "now");
});

test("Retry-After is obeyed", async () => {
  const world = await open();
  world.http.always = refusal(503, { "Retry-After": "30" });
  await block(world);
  await world.clock.advance(29_999);
  assert.equal(world.http.requests.length, 1);
  await world.clock.advance(1);
  assert.equal(world.http.requests.length, 2);
});

for (const [status, code] of [[401, 4401], [403, 4403]]) {
  test(`a poll that answers ${status} ends the stream like ${code}`, async () => {
    const world = await open();
    const told = [];
    world.stream.on("status", (status) => told.push(status));
    world.http.always = refusal(status);
    await block(world);
    assert.equal(told.at(-1).code, code);
    await world.clock.advance(60_000);
    assert.equal(world.http.requests.length, 1);
  });
}

test("a token polls, a ticket cannot", async () => {
  const withToken = await open("/api/v1/stream", { token: () => "th_secret" });
  withToken.http.always = page([], "c1");
  await block(withToken);
  assert.equal(withToken.http.requests[0].headers.Authorization, "Bearer th_secret");

  const withTicket = await open("/api/v1/stream", { ticket: () => "once" });
  await block(withTicket);
  assert.equal(withTicket.http.requests.length, 0);
});
