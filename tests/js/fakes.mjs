// What a TaskStream touches outside itself, under the test's control: clock, sockets, HTTP, the page.

import { TaskStream } from "../../static/taskhub/stream.js";

/** Lets every promise that can settle now settle. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

export class Clock {
  time = 1_000_000;
  timers = new Map();
  #next = 1;

  now = () => this.time;

  setTimeout = (act, ms) => {
    this.timers.set(this.#next, { at: this.time + ms, act });
    return this.#next++;
  };

  clearTimeout = (id) => this.timers.delete(id);

  /** Moves on by `ms`, firing what falls due, in order. */
  async advance(ms) {
    const end = this.time + ms;
    await settle();
    for (let due = this.#due(end); due; due = this.#due(end)) {
      const [id, { at, act }] = due;
      this.timers.delete(id);
      this.time = Math.max(this.time, at);
      act();
      await settle();
    }
    this.time = end;
  }

  /** The machine sleeps: time passes, and timers that fell due fire only now. */
  sleep(ms) {
    this.time += ms;
  }

  #due(end) {
    return [...this.timers].filter(([, timer]) => timer.at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
  }
}

export class FakeSocket {
  sent = [];
  closed = false;

  constructor(url) {
    this.url = new URL(url);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.closed = true;
  }

  say(frame) {
    this.onmessage({ data: JSON.stringify(frame) });
  }

  hello(cursor = "head") {
    this.onopen();
    this.say({ type: "hello", protocol: 1, cursor, heartbeat_s: 25 });
  }

  /** Grants each subscription that was asked for, in order. */
  grant() {
    for (const { type, batch, since, events, statuses, ...key } of this.sent) {
      if (type === "subscribe") this.say({ ...key, type: "subscribed", cursor: since ?? "here", recovered: true });
    }
  }

  drop(code, reason = "") {
    this.onclose({ code, reason });
  }
}

/** Answers requests with what the test queued; without that it fails as a network does. */
export class Http {
  requests = [];
  answers = [];
  always = null;

  fetch = async (url, { headers, signal }) => {
    this.requests.push({ url: new URL(url), headers, signal });
    const answer = this.answers.shift() ?? this.always;
    if (!answer) throw new TypeError("network error");
    return answer;
  };
}

export const page = (results, cursor, recovered = true) => ({
  ok: true,
  status: 200,
  json: async () => ({ results, cursor, recovered }),
});

export const refusal = (status, headers = {}) => ({ ok: false, status, headers: new Headers(headers) });

export class Storage {
  items = new Map();
  getItem = (key) => this.items.get(key) ?? null;
  setItem = (key, value) => this.items.set(key, value);
}

/** A stream with everything around it faked; `frames` and `states` collect what it tells. */
export async function open(url = "/api/v1/stream", { env, ...options } = {}) {
  const world = {
    clock: new Clock(),
    http: new Http(),
    sockets: [],
    window: new EventTarget(),
    document: new EventTarget(),
    navigator: { onLine: true },
    errors: [],
    frames: [],
    states: [],
  };
  class WebSocket extends FakeSocket {
    constructor(address) {
      super(address);
      world.sockets.push(this);
    }
  }
  const { clock, http, window, document, navigator } = world;
  const { now, setTimeout, clearTimeout } = clock;
  world.document.visibilityState = "visible";
  const report = (error) => world.errors.push(error);
  const faked = { WebSocket, fetch: http.fetch, now, setTimeout, clearTimeout, window, document, navigator, report };
  const location = { href: "https://hub.test/" };
  world.stream = new TaskStream(url, { ...options, env: { ...faked, random: () => 0.5, location, ...env } });
  world.stream.on("*", (frame) => world.frames.push(frame));
  world.stream.on("status", ({ state }) => world.states.push(state));
  Object.defineProperty(world, "socket", { get: () => world.sockets.at(-1) });
  await settle();
  return world;
}

export const updated = (n, more = {}) => ({
  type: "task_updated",
  event_id: `e${n}`,
  cursor: `c${n}`,
  task_id: "t1",
  version: n,
  queue: "default",
  status: "processing",
  ...more,
});
