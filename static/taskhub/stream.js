/**
 * TaskHub's live stream: one WebSocket that outlives drops, sleep and blocked sockets without missing an event.
 *
 * It depends on nothing, so it is also the published JavaScript client. The protocol is described in
 * docs/reference. In a browser on the hub's own origin the session cookie is enough:
 *
 *     const stream = new TaskStream("/api/v1/stream", { since: cursor });
 *     stream.on("task_updated", (event) => show(event));
 *     stream.on("resync", () => reload());      // while its promise is pending the state is "resyncing"
 *     stream.on("status", ({ state }) => badge(state));
 *     stream.subscribe({ queue: "*" });
 */

const SHORTEST_MS = 500;
const LONGEST_MS = 20_000;
const HELLO_MS = 6_000; // a socket that says nothing for so long is taken for blocked
const PROBE_MS = 5_000; // how long a ping may go unanswered
const STABLE_MS = 10_000; // a connection that lived so long lets the backoff start afresh
const POLL_MS = 3_000;
const POLL_LIMIT = 500;
const BURST = 15; // the server takes 20 frames in 10 s; the rest is for pings
const WINDOW_MS = 10_000;
const MISSES_BEFORE_POLLING = 3;
const HEARTBEATS_OF_SILENCE = 1.5;
const REMEMBERED = 10_000; // events that are recognised when they come again
const KEYS = ["task_id", "pipeline_id", "queue"];

/** Close codes after which another try cannot help. */
export const FINAL_CODES = new Map([
  [4400, "bad request"],
  [4401, "unauthenticated"],
  [4403, "forbidden"],
  [4404, "unknown"],
]);

/** Milliseconds to wait after so many failures in a row: full jitter from 0.5 s up to a doubling ceiling of 20 s. */
export function backoff(failures, random = Math.random) {
  const ceiling = Math.min(LONGEST_MS, SHORTEST_MS * 2 ** failures);
  return SHORTEST_MS + random() * (ceiling - SHORTEST_MS);
}

/**
 * Options, none of them required:
 * - `since`: the cursor to start from. Without one the stream starts at the log's head.
 * - `token` or `ticket`: a string, or a function that returns one (or a promise of one) for each connection. A ticket
 *   is good once, so only a function survives a reconnect; and only a token can poll.
 * - `batch`: true asks for several events in one frame.
 * - `storage`: a Web Storage that keeps the cursor over reloads.
 * - `env`: replacements for globals (`WebSocket`, `fetch`, timers, ...), for hosts without them and for tests.
 *
 * Its state is `connecting`, `live`, `polling`, `offline` or `resyncing`, and in the end `closed`.
 */
export class TaskStream {
  #options;
  #env;
  #address;
  #poller;
  #listeners = new Map();
  #subscriptions = new Map();
  #seen = new Recent(REMEMBERED);
  #cursor;
  #socket = null;
  #generation = 0; // of the connection: what was started for an earlier one is void
  #greetedAt = null;
  #heardAt = null;
  #silenceMs;
  #failures = 0; // tries in a row that led to no stable connection
  #misses = 0; // tries in a row without a hello
  #retryTimer = null;
  #watchTimer = null;
  #unanswered = 0; // subscriptions that were asked for on this socket, and are neither granted nor refused
  #unsent = [];
  #sentAt = []; // the times of the last frames on this socket
  #sendTimer = null;
  #resyncs = 0;
  #closed = null;
  #state = "connecting";
  #forgetWaking = [];

  constructor(url, options = {}) {
    this.#options = options;
    this.#env = { ...globals(), ...options.env };
    this.#address = new Address(url, this.#env.location);
    this.#cursor = options.since ?? options.storage?.getItem(this.#address.key) ?? null;
    if (this.#address.subscription) this.#keep({ ...this.#address.subscription, implicit: true });
    this.#poller = new Poller(this.#env, {
      fetch: (signal) => this.#fetchPage(signal),
      take: (page) => this.#takePage(page),
      fail: (error) => this.#pollFailed(error),
    });
    this.#listenForWaking();
    queueMicrotask(() => this.#closed || this.#connect());
  }

  get state() {
    return this.#state;
  }

  /** Up to here everything that was subscribed to has been delivered; null before the first hello. */
  get cursor() {
    return this.#cursor;
  }

  /** When the server was last heard, in milliseconds since 1970; null before that. */
  get heardAt() {
    return this.#heardAt;
  }

  /**
   * Calls `listener` with each frame of `type`, with every frame for "*", and with `{state, code?, reason?}` for
   * "status". Returns a function that undoes it. An "error" carries the key of the subscription that was refused.
   */
  on(type, listener) {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /**
   * Takes `{task_id | pipeline_id | queue, events?, statuses?, since?}`; the same key again replaces. One that is refused
   * is over, and the others go on.
   */
  subscribe(subscription) {
    const kept = this.#keep({ ...subscription });
    if (this.#greetedAt !== null) this.#sendSubscribe(kept, kept.since);
  }

  unsubscribe(subscription) {
    const key = keyOf(subscription);
    const kept = this.#subscriptions.get(nameOf(key));
    if (kept?.implicit) kept.dropped = true;
    else this.#subscriptions.delete(nameOf(key));
    if (this.#greetedAt !== null) this.#send({ type: "unsubscribe", ...key });
  }

  /** Ends the stream for good. */
  close() {
    this.#end(1000, "closed by the page");
  }

  // -- Connecting

  async #connect() {
    this.#leave();
    this.#env.clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
    const generation = this.#generation;
    try {
      const credentials = await this.#credentials();
      if (generation === this.#generation) this.#open(credentials);
    } catch (error) {
      if (generation === this.#generation) this.#lost(1006, String(error));
    }
  }

  async #credentials() {
    for (const kind of ["ticket", "token"]) {
      const given = this.#options[kind];
      if (given) return { [kind]: typeof given === "function" ? await given() : given };
    }
    return null;
  }

  #open(credentials) {
    const socket = new this.#env.WebSocket(this.#address.socket(this.#cursor, credentials?.ticket));
    const token = credentials?.token;
    socket.onopen = () => token && socket.send(JSON.stringify({ type: "authenticate", token }));
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    this.#socket = socket;
    this.#watch(HELLO_MS);
  }

  #leave() {
    const socket = this.#socket;
    this.#socket = null;
    this.#greetedAt = null;
    this.#unanswered = 0;
    this.#unsent = [];
    this.#sentAt = [];
    this.#generation += 1;
    this.#env.clearTimeout(this.#watchTimer);
    this.#env.clearTimeout(this.#sendTimer);
    this.#sendTimer = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #lost(code, reason = "") {
    const now = this.#env.now();
    const greetedAt = this.#greetedAt;
    this.#leave();
    if (FINAL_CODES.has(code)) return this.#end(code, reason);
    this.#failures = greetedAt !== null && now - greetedAt >= STABLE_MS ? 1 : this.#failures + 1;
    this.#misses = greetedAt === null ? this.#misses + 1 : 0;
    if (this.#misses >= MISSES_BEFORE_POLLING && !this.#options.ticket) this.#poller.start();
    this.#retryTimer = this.#env.setTimeout(() => this.#connect(), backoff(this.#failures, this.#env.random));
    this.#report();
  }

  #end(code, reason) {
    if (this.#closed) return;
    this.#closed = { code, reason: reason || FINAL_CODES.get(code) };
    this.#leave();
    this.#poller.stop();
    this.#env.clearTimeout(this.#retryTimer);
    for (const forget of this.#forgetWaking) forget();
    this.#report();
  }

  // -- Noticing that the server, or this machine, was away

  #watch(ms) {
    this.#env.clearTimeout(this.#watchTimer);
    this.#watchTimer = this.#env.setTimeout(() => this.#checkSilence(), ms);
  }

  #checkSilence() {
    if (this.#greetedAt === null) return this.#lost(1006, "no hello");
    const left = this.#silenceMs - (this.#env.now() - this.#heardAt);
    if (left > 0) this.#watch(left);
    else this.#lost(1006, "nothing heard");
  }

  #probe() {
    const asked = this.#env.now();
    const generation = this.#generation;
    this.#socket.send(JSON.stringify({ type: "ping" })); // at once, whatever else waits
    this.#env.setTimeout(() => {
      if (generation === this.#generation && this.#heardAt < asked) this.#lost(1006, "ping unanswered");
    }, PROBE_MS);
  }

  #listenForWaking() {
    const { window, document } = this.#env;
    const listen = (target, type, react) => {
      target?.addEventListener(type, react);
      this.#forgetWaking.push(() => target?.removeEventListener(type, react));
    };
    listen(window, "online", () => this.#wake());
    listen(window, "pageshow", () => this.#wake());
    listen(window, "offline", () => (this.#greetedAt === null ? this.#report() : this.#probe()));
    listen(document, "visibilitychange", () => document.visibilityState === "visible" && this.#wake());
  }

  #wake() {
    if (this.#greetedAt !== null) this.#probe();
    else if (this.#retryTimer !== null) this.#connect();
    this.#poller.hurry();
    this.#report();
  }

  // -- Receiving

  #receive(frame) {
    this.#heardAt = this.#env.now();
    if (frame.type === "hello") this.#greet(frame);
    else if (frame.type === "batch") frame.events.forEach((event) => this.#take(event));
    else this.#take(frame);
    this.#store();
  }

  #greet(frame) {
    const resumeAt = this.#cursor;
    this.#cursor ??= frame.cursor;
    this.#greetedAt = this.#heardAt;
    this.#silenceMs = frame.heartbeat_s * 1000 * HEARTBEATS_OF_SILENCE;
    this.#watch(this.#silenceMs);
    this.#misses = 0;
    this.#poller.stop();
    this.#unanswered = this.#address.subscription ? 1 : 0;
    for (const kept of this.#subscriptions.values()) this.#restore(kept, resumeAt);
    this.#emit(frame);
    this.#report();
  }

  #restore(kept, resumeAt) {
    if (kept.refused) return;
    if (!kept.implicit) this.#sendSubscribe(kept, kept.since ?? resumeAt);
    else if (kept.dropped) this.#send({ type: "unsubscribe", ...keyOf(kept) });
  }

  #take(frame) {
    if (this.#closed) return; // by a listener, in the middle of a batch
    if (isAnswer(frame)) this.#answered(frame);
    if (this.#isDuplicate(frame)) return this.#advance(frame);
    const results = this.#emit(frame);
    this.#advance(frame);
    if (frame.type === "resync") this.#resync(results);
    if (frame.type === "subscribed" && frame.recovered === false) this.#startOver(frame);
  }

  /** What is asked for again while its refusal is on the way has another answer coming: the last one counts. */
  #answered(frame) {
    this.#unanswered -= 1;
    const kept = hasKey(frame) && this.#subscriptions.get(nameOf(keyOf(frame)));
    if (kept) kept.refused = frame.type === "error";
  }

  #isDuplicate({ event_id, task_id, version }) {
    if (event_id !== undefined) return !this.#seen.add(event_id);
    return task_id !== undefined && version !== undefined && !this.#seen.add(`${task_id} ${version}`);
  }

  /**
   * Only events and heartbeats say how far we are, and only when every subscription has been granted: before that they
   * say nothing of what the next one has missed. From then on the start that a subscription asked for is behind us.
   */
  #advance({ type, event_id, cursor }) {
    if (!cursor || this.#unanswered > 0 || (event_id === undefined && type !== "heartbeat")) return;
    this.#cursor = cursor;
    for (const kept of this.#subscriptions.values()) delete kept.since;
  }

  /**
   * What we asked for is gone. Our cursor leads nowhere any more; the server said where its replay starts. If a backup
   * was restored, what has the same name there is another event.
   */
  #startOver({ cursor, results, ...subscribed }) {
    this.#cursor = cursor;
    this.#seen = new Recent(REMEMBERED);
    this.#resync(this.#emit({ ...subscribed, type: "resync", reason: "not_recovered" }));
  }

  #resync(results) {
    this.#resyncs += 1;
    this.#report();
    Promise.allSettled(results).then(() => {
      this.#resyncs -= 1;
      this.#report();
    });
  }

  // -- Polling, while sockets do not get through

  async #fetchPage(signal) {
    const credentials = await this.#credentials();
    const headers = { Accept: "application/json" };
    if (credentials) headers.Authorization = `Bearer ${credentials.token}`;
    const address = this.#address.events(this.#cursor, this.#onlyTask());
    const response = await this.#env.fetch(address, { headers, signal, credentials: "same-origin", cache: "no-store" });
    if (!response.ok) throw new Refused(response);
    return response.json();
  }

  /** Returns true when more is waiting. */
  #takePage(page) {
    this.#heardAt = this.#env.now();
    const wanted = this.#wanted();
    for (const event of page.results) {
      if (wanted.some((subscription) => matches(subscription, event))) this.#take(event);
    }
    if (page.recovered) this.#cursor = page.cursor;
    else this.#startOver(page);
    this.#store();
    if (this.#state === "offline" && this.#retryTimer !== null) this.#connect();
    this.#report();
    return page.results.length >= POLL_LIMIT;
  }

  #pollFailed(error) {
    if (error.status === 401) return this.#end(4401);
    if (error.status === 403) return this.#end(4403);
    this.#report();
  }

  #wanted() {
    return [...this.#subscriptions.values()].filter((kept) => !kept.dropped && !kept.refused);
  }

  #onlyTask() {
    const [first, ...others] = this.#wanted();
    return others.length === 0 && first?.task_id !== "*" ? first?.task_id : undefined;
  }

  // -- Telling

  #emit(frame) {
    return [frame.type, "*"].flatMap((type) => this.#tell(type, frame));
  }

  #tell(type, message) {
    return [...(this.#listeners.get(type) ?? [])].map((listener) => this.#call(listener, message));
  }

  /** A listener that throws must not cost the others their event. */
  #call(listener, message) {
    try {
      return listener(message);
    } catch (error) {
      return this.#env.report(error);
    }
  }

  #report() {
    const state = this.#presentState();
    if (state === this.#state) return;
    this.#state = state;
    this.#tell("status", { state, ...this.#closed });
  }

  #presentState() {
    if (this.#closed) return "closed";
    const live = this.#greetedAt !== null;
    if (this.#resyncs > 0 && (live || this.#poller.works)) return "resyncing";
    if (live) return "live";
    if (this.#poller.works) return "polling";
    return this.#poller.works === false || this.#env.navigator?.onLine === false ? "offline" : "connecting";
  }

  #keep(subscription) {
    this.#subscriptions.set(nameOf(keyOf(subscription)), subscription);
    return subscription;
  }

  #store() {
    if (this.#cursor) this.#options.storage?.setItem(this.#address.key, this.#cursor);
  }

  #sendSubscribe({ implicit, dropped, refused, ...subscription }, since) {
    const batch = this.#options.batch ? { batch: true } : {};
    this.#unanswered += 1;
    this.#send({ type: "subscribe", ...subscription, ...batch, since: since ?? undefined });
  }

  /** No faster than the server listens: what is too much waits for its turn. */
  #send(frame) {
    this.#unsent.push(frame);
    if (this.#sendTimer === null) this.#sendAll();
  }

  #sendAll() {
    this.#sendTimer = null;
    const now = this.#env.now();
    this.#sentAt = this.#sentAt.filter((at) => now - at < WINDOW_MS);
    while (this.#unsent.length > 0 && this.#sentAt.length < BURST) {
      this.#sentAt.push(now);
      this.#socket.send(JSON.stringify(this.#unsent.shift()));
    }
    if (this.#unsent.length === 0) return;
    this.#sendTimer = this.#env.setTimeout(() => this.#sendAll(), this.#sentAt[0] + WINDOW_MS - now);
  }
}

/** Fetches pages of the event log, one after the other. `works` is null until the first answer, then true or false. */
class Poller {
  works = null;
  #env;
  #on;
  #run = null;
  #timer = null;
  #failures = 0;

  constructor(env, on) {
    this.#env = env;
    this.#on = on;
  }

  start() {
    if (this.#run) return;
    this.#run = new AbortController();
    this.#poll(this.#run.signal);
  }

  stop() {
    this.#run?.abort();
    this.#run = null;
    this.#failures = 0;
    this.works = null;
    this.#env.clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Polls now instead of when the wait is over. */
  hurry() {
    if (this.#timer === null) return;
    this.#env.clearTimeout(this.#timer);
    this.#poll(this.#run.signal);
  }

  async #poll(signal) {
    this.#timer = null;
    const wait = await this.#once(signal);
    if (!signal.aborted) this.#timer = this.#env.setTimeout(() => this.#poll(signal), wait);
  }

  async #once(signal) {
    try {
      const page = await this.#on.fetch(signal);
      return signal.aborted ? 0 : this.#succeeded(page);
    } catch (error) {
      return signal.aborted ? 0 : this.#failed(error);
    }
  }

  #succeeded(page) {
    this.#failures = 0;
    this.works = true;
    return this.#on.take(page) ? 0 : POLL_MS;
  }

  #failed(error) {
    this.#failures += 1;
    this.works = false;
    this.#on.fail(error);
    return Math.max(backoff(this.#failures, this.#env.random), error.retryAfterMs ?? 0);
  }
}

/** An answer other than 2xx. */
class Refused extends Error {
  constructor(response) {
    super(`polling answered ${response.status}`);
    this.status = response.status;
    this.retryAfterMs = 1000 * (Number(response.headers.get("Retry-After")) || 0);
  }
}

/** A set that forgets its oldest members. */
class Recent {
  #members = new Set();
  #most;

  constructor(most) {
    this.#most = most;
  }

  /** Returns false when it was there already. */
  add(member) {
    if (this.#members.has(member)) return false;
    this.#members.add(member);
    if (this.#members.size > this.#most) this.#members.delete(this.#members.values().next().value);
    return true;
  }
}

/** A stream's URL, what it subscribes to by itself, and where the same events can be polled. */
class Address {
  #url;
  #root;

  constructor(url, location) {
    this.#url = new URL(url, location?.href);
    const found = /^(.*\/api\/v1\/)(?:(task|pipeline)s\/(?:([^/]+)\/)?)?stream$/.exec(this.#url.pathname);
    if (!found) throw new TypeError(`Not the address of a stream: ${url}`);
    const [, root, kind, id = "*"] = found;
    this.#root = root;
    this.subscription = kind ? { [`${kind}_id`]: id } : null;
    this.key = `taskhub.cursor ${this.#url.pathname}`;
  }

  /** A ticket is good once, so it may stand in an address; there it counts before any cookie that comes along. */
  socket(since, ticket) {
    const url = new URL(this.#url);
    url.protocol = url.protocol.replace("http", "ws");
    if (since) url.searchParams.set("since", since);
    if (ticket) url.searchParams.set("ticket", ticket);
    return url.href;
  }

  events(since, taskId) {
    const url = new URL(`${this.#root}events`, this.#url);
    url.protocol = url.protocol.replace("ws", "http");
    url.searchParams.set("limit", POLL_LIMIT);
    url.searchParams.set("since", since ?? "now");
    if (taskId) url.searchParams.set("task_id", taskId);
    return url.href;
  }
}

/** Whether the frame says what became of a subscription. The other refusal is of a second `authenticate`. */
function isAnswer({ type, code }) {
  return type === "subscribed" || (type === "error" && code !== "already_authenticated");
}

/** The one key that a subscription is known by. */
function keyOf(subscription) {
  if (!hasKey(subscription)) throw new TypeError("A subscription needs a task_id, a pipeline_id or a queue.");
  const name = KEYS.find((key) => subscription[key] !== undefined);
  return { [name]: subscription[name] };
}

function hasKey(frame) {
  return KEYS.some((key) => frame[key] !== undefined);
}

function nameOf(key) {
  return Object.entries(key).flat().join(" ");
}

/** Whether a polled event is one that the subscription would have brought; what it does not say holds it not back. */
function matches({ task_id, pipeline_id, queue, events, statuses }, event) {
  const within = (wanted, value) => [undefined, "*", value].includes(wanted);
  if ((pipeline_id === undefined) !== (event.pipeline_id === undefined)) return false;
  if (!within(task_id, event.task_id) || !within(pipeline_id, event.pipeline_id)) return false;
  if (event.queue !== undefined && !within(queue, event.queue)) return false;
  const status = event.status?.toLowerCase(); // a pipeline's last event shouts
  return (!events || events.includes(event.type)) && (!statuses || !status || statuses.includes(status));
}

function globals() {
  const { WebSocket, location, window, document, navigator } = globalThis;
  return {
    WebSocket,
    location,
    window,
    document,
    navigator,
    fetch: (...request) => globalThis.fetch(...request),
    setTimeout: (act, ms) => globalThis.setTimeout(act, ms),
    clearTimeout: (timer) => globalThis.clearTimeout(timer),
    now: () => Date.now(),
    random: () => Math.random(),
    report: (error) => (globalThis.reportError ?? console.error)(error),
  };
}
