"""The JavaScript client in a real browser, against a real hub, through what networks do."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests import processes
from tests.clients.codes import COMES_BACK

pytestmark = [pytest.mark.browser, pytest.mark.processes]

FOLLOW = """
async ({ token, path }) => {
  const { TaskStream } = await import("/static/taskhub/stream.js");
  // Every wait is a tenth of what it is, so that a test needn't take as long as an outage does.
  const env = { setTimeout: (act, ms) => setTimeout(act, ms / 10) };
  window.stream = new TaskStream(path, { token, env });
  window.events = [];
  window.states = [];
  stream.on("*", (frame) => frame.event_id && events.push(frame));
  stream.on("status", ({ state, code }) => states.push(code ? `${state} ${code}` : state));
  stream.subscribe({ queue: "*" });
}
"""


@pytest.fixture
def follow(page, hub):
    """Follow all tasks from the page, and return once it does."""

    def follow(path: str = "/api/v1/stream", token: str = "") -> None:
        page.goto("/login")
        page.evaluate(FOLLOW, {"path": path, "token": token or hub.token})

    return follow


@pytest.fixture
def until(page):
    """Playwright's own way to wait needs `eval`, which our pages forbid."""
    return lambda expression: processes.until(lambda: page.evaluate(expression), expression)


def completed(page, until, task) -> list[int]:
    """The versions of the task that the page was told of, once it is completed."""
    until(f"events.some((event) => event.task_id === '{task['id']}' && event.status === 'completed')")
    return page.evaluate(f"events.filter((e) => e.task_id === '{task['id']}').map((e) => e.version)")


def test_every_change_is_heard_in_order(page, hub, follow, until):
    follow()
    until("stream.state === 'live'")
    task = hub.submit(name="test.echo")
    assert completed(page, until, task) == [1, 2, 3]


def test_a_refusal_names_its_subscription_and_the_others_go_on(page, hub, gate, follow, until):
    follow()
    page.evaluate(
        "window.refusals = [];"
        "stream.on('error', ({ code, task_id }) => refusals.push([code, task_id]));"
        "stream.subscribe({ task_id: 'nonsense' });"
    )
    until("refusals.length > 0")
    gate.cut()
    until("states.filter((state) => state === 'live').length === 2")
    task = hub.submit(name="test.echo")
    assert completed(page, until, task) == [1, 2, 3]
    assert page.evaluate("refusals") == [["not_found", "nonsense"]]


def test_who_is_cut_again_and_again_hears_everything_once(page, hub, gate, follow, until):
    follow()
    until("stream.state === 'live'")
    tasks = []
    for _ in range(6):
        tasks += [hub.submit(name="test.echo") for _ in range(3)]
        gate.cut()
    assert [completed(page, until, task) for task in tasks] == [[1, 2, 3]] * len(tasks)
    assert gate.sockets > 1


def test_where_sockets_are_blocked_it_polls_and_comes_back_to_them(page, hub, gate, follow, until):
    follow()
    until("stream.state === 'live'")
    gate.refuses_sockets = True
    gate.cut()
    until("stream.state === 'polling'")
    polled = hub.submit(name="test.echo")
    assert completed(page, until, polled) == [1, 2, 3]
    gate.refuses_sockets = False
    until("stream.state === 'live'")
    pushed = hub.submit(name="test.echo")
    assert completed(page, until, pushed) == [1, 2, 3]
    assert page.evaluate("events.length === new Set(events.map((event) => event.event_id)).size")


def test_without_a_network_it_waits_and_then_catches_up(page, hub, gate, follow, until):
    follow()
    until("stream.state === 'live'")
    page.context.set_offline(True)
    gate.cut()
    until("stream.state === 'offline'")
    missed = hub.submit(name="test.echo")
    hub.reaches(missed["id"], "completed")
    page.context.set_offline(False)
    assert completed(page, until, missed) == [1, 2, 3]
    assert page.evaluate("stream.state") == "live"


def test_a_hub_that_restarts_is_found_again(page, hub, follow, until):
    follow()
    until("stream.state === 'live'")
    hub.stop()
    until("states.at(-1) !== 'live'")
    hub.start()
    task = hub.submit(name="test.echo")
    assert completed(page, until, task) == [1, 2, 3]


def test_a_token_that_is_no_good_is_the_end(follow, until):
    follow(token="nonsense")
    until("states.at(-1) === 'closed 4401'")


CLOSE = """
async (code) => {
  const { TaskStream } = await import("/static/taskhub/stream.js");
  let opened = 0;
  class Closing {
    constructor() {
      opened += 1;
      queueMicrotask(() => this.hello());
    }
    hello() {
      this.onmessage({ data: JSON.stringify({ type: "hello", cursor: "c", heartbeat_s: 25 }) });
      this.onclose({ code, reason: "" });
    }
    send() {}
    close() {}
  }
  const env = { WebSocket: Closing, setTimeout: (act, ms) => setTimeout(act, ms / 1000) };
  const stream = new TaskStream("/api/v1/stream", { token: "token", env });
  while (opened < 3 && stream.state !== "closed") await new Promise((resolve) => setTimeout(resolve));
  stream.close();
  return Math.min(opened, 3);
}
"""


def test_it_comes_back_exactly_when_the_table_of_close_codes_says_so(page):
    page.goto("/login")
    opened = {code: page.evaluate(CLOSE, code) for code in COMES_BACK}
    assert opened == {code: 3 if comes_back else 1 for code, comes_back in COMES_BACK.items()}


def test_the_dashboard_is_live_by_the_sessions_cookie(page, hub):
    """Here everything is real: the cookie, the page's origin, the socket and the worker."""
    link = hub.manage("signin-link").split()[-1]
    page.goto("/signin/" + link.partition("/signin/")[2])
    page.get_by_role("button").first.click()
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    task = hub.submit(name="test.echo")
    expect(page.locator(f"#task-{task['id']} .chip")).to_have_text("Completed")
