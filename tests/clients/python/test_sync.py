"""The client for code that may wait, against a real hub."""

from __future__ import annotations

import threading
from itertools import takewhile

import pytest

from taskhub_client import Client, Conflict, InvalidRequest, NotFound, Unauthenticated, WaitTimeout, following
from tests.processes import PATIENCE, until

pytestmark = pytest.mark.processes
STEPS = [
    {"name": "first", "handler": "test.echo", "payload": {"value": {"$input": True}}},
    {"name": "second", "handler": "test.echo", "payload": {"value": "end"}},
]


@pytest.fixture
def impatient(monkeypatch):
    """Nobody waits long for the next try, nor for the next poll."""
    monkeypatch.setattr(following, "backoff", lambda failures: 0.2)
    monkeypatch.setattr(following, "POLL_S", 0.1)


def versions(events, task):
    return [event["version"] for event in events if event.get("task_id") == task["id"]]


def up_to_the_end_of(task, stream):
    """The events, up to the one that completes the task."""
    is_end = lambda event: event.get("task_id") == task["id"] and event.get("status") == "completed"  # noqa: E731
    return list(takewhile(lambda event: not is_end(event), stream))


# -- one request ---------------------------------------------------------------------------------------------------


def test_a_task_is_submitted_and_waited_for(client):
    task = client.submit("test.echo", {"value": "hello"}, priority=7, tags=["a"])
    assert (task["priority"], task["tags"], task["version"]) == (7, ["a"], 1)
    done = client.wait(task["id"])
    assert (done["status"], done["result"]) == ("completed", {"value": "hello"})
    assert client.status(task["id"])["status"] == "completed"
    assert client.wait(task["id"], timeout=10) == client.task(task["id"])  # what is over already


def test_what_has_failed_is_over_too_and_can_be_resurrected(client):
    task = client.wait(client.submit("test.permanent")["id"])
    assert task["status"] == "dead_lettered"
    assert task["error"]["type"] == "PermanentError"
    assert client.resurrect(task["id"])["status"] == "pending"


def test_the_verbs(client):
    task = client.submit("test.echo", delay=3600)
    assert client.pause(task["id"])["status"] == "paused"
    assert client.resume(task["id"])["status"] == "pending"
    assert client.cancel(task["id"])["status"] == "canceled"
    with pytest.raises(Conflict, match="canceled"):
        client.retry(task["id"])


def test_many_are_submitted_at_once(client):
    tasks = client.submit_many([{"name": "test.echo"}, {"name": "test.echo", "delay": 60}])
    assert [task["name"] for task in tasks] == ["test.echo"] * 2


def test_the_same_key_is_the_same_task(client):
    first, again = (client.submit("test.echo", {"value": "x"}, idempotency_key="only-once") for _ in range(2))
    assert first["id"] == again["id"]


def test_a_submission_whose_answer_was_lost_is_sent_again_and_makes_one_task(client, gate):
    gate.answers_to_lose = 1
    task = client.submit("test.echo", tags=["lost-answer"])
    assert gate.answers_to_lose == 0
    assert [found["id"] for found in _tagged(client, "lost-answer")] == [task["id"]]


def _tagged(client, tag):
    return client._http.get("/tasks", params={"tag": tag}).json()["results"]


def test_what_is_wrong_is_said_at_its_field(client):
    with pytest.raises(InvalidRequest) as raised:
        client.submit("test.echo", {"wrong": 1})
    assert raised.value.status == 400
    assert [error.field for error in raised.value.errors] == ["payload.wrong"]
    assert "payload.wrong: " in str(raised.value)


def test_what_there_is_not_is_not_found(client):
    nothing = "00000000-0000-7000-8000-000000000000"
    for ask in (client.task, client.status, client.wait, client.cancel, client.pipelines.wait):
        with pytest.raises(NotFound):
            ask(nothing)


def test_a_token_that_is_no_good(url):
    with Client(url, "nonsense") as stranger:
        with pytest.raises(Unauthenticated):
            stranger.submit("test.echo")
        with pytest.raises(Unauthenticated):
            next(stranger.stream(since="x"))


def test_patience_may_end_before_the_task_does(client):
    task = client.submit("test.echo", delay=3600)
    with pytest.raises(WaitTimeout):
        client.wait(task["id"], timeout=0.5)
    client.cancel(task["id"])


# -- the stream ----------------------------------------------------------------------------------------------------


def test_what_happens_within_the_block_is_told_in_order(client):
    with client.stream() as events:
        task = client.submit("test.echo")
        seen = []
        for event in events:
            seen += [event] if event.get("task_id") == task["id"] else []
            if seen and seen[-1]["status"] == "completed":
                break
    assert [event["type"] for event in seen] == ["task_created", "task_updated", "task_updated"]
    assert [event["version"] for event in seen] == [1, 2, 3]


def test_a_single_task_comes_whole_first(client):
    task = client.submit("test.steps", {"count": 3, "pause": 0.05})
    with client.stream(task_id=task["id"], events=["task_updated", "task_progress"]) as events:
        first = next(events)
        assert first["type"] == "snapshot"
        rest = up_to_the_end_of(task, events) if first["task"]["status"] != "completed" else []
    known = [first["task"]["version"], *versions(rest, task)]
    assert known == list(range(known[0], known[0] + len(known)))


def test_several_subscriptions_in_one_stream(client):
    with client.stream({"queue": "elsewhere"}, pipeline_id="*") as events:
        client.submit("test.echo")
        task = client.submit("test.echo", queue="elsewhere")
        run = client.pipelines.submit("two", STEPS, input="x")
        seen = list(takewhile(lambda event: event["type"] != "PipelineCompleteEvent", events))
    told = [event for event in seen if "event_id" in event]
    assert {event.get("pipeline_id") or event["task_id"] for event in told} == {task["id"], run["id"]}


def test_a_refusal_names_its_subscription_and_the_others_go_on(client, gate, impatient):
    unknown = {"pipeline_id": "00000000-0000-7000-8000-000000000000"}
    with client.stream({"queue": "elsewhere"}, unknown, {"queue": "default"}) as events:
        with pytest.raises(NotFound, match="no pipeline_id 0") as raised:
            list(events)
        assert raised.value.subscription == unknown
        for queue in ("elsewhere", "default"):
            task = client.submit("test.echo", queue=queue)
            assert versions(up_to_the_end_of(task, events), task) == [1, 2]
            gate.cut()  # and is not refused again
    assert gate.sockets > 1


def test_a_stream_whose_only_subscription_is_refused_has_ended(client):
    with client.stream(task_id="nonsense") as events:
        with pytest.raises(NotFound):
            next(events)
        assert list(events) == []


def test_another_stream_goes_on_where_one_has_ended(client):
    with client.stream(queue="*", events=["task_created"]) as events:
        first = client.submit("test.echo")
        assert next(events)["task_id"] == first["id"]
        next_one = client.submit("test.echo")
        cursor = events.cursor
    with client.stream(queue="*", events=["task_created"], since=cursor) as events:
        while (event := next(events))["task_id"] == first["id"]:
            pass
    assert event["task_id"] == next_one["id"]


def test_who_is_cut_again_and_again_is_told_everything_once(client, gate, impatient):
    tasks = []

    def submit():
        for number in range(40):
            tasks.append(client.submit("test.echo"))
            if number % 8 == 7:
                gate.cut()

    with client.stream() as events:
        submitting = threading.Thread(target=submit)
        submitting.start()
        seen, completed = [], set()
        while submitting.is_alive() or completed < {task["id"] for task in tasks}:
            event = next(events)
            if "event_id" in event:
                seen.append(event)
                completed |= {event["task_id"]} if event["status"] == "completed" else set()
    assert gate.sockets > 2
    assert {task["id"]: versions(seen, task) for task in tasks} == {task["id"]: [1, 2, 3] for task in tasks}


def test_where_sockets_are_blocked_it_polls_and_comes_back_to_them(client, gate, impatient):
    gate.refuses_sockets = True
    with client.stream() as events:
        polled = client.submit("test.echo")
        seen = up_to_the_end_of(polled, events)
        assert versions(seen, polled) == [1, 2]
        refused = gate.sockets
        assert refused >= 3
        gate.refuses_sockets = False
        while not any(event["type"] == "queue_status" for event in seen):  # only sockets bring it
            seen.append(next(events))
        pushed = client.submit("test.echo")
        assert versions(up_to_the_end_of(pushed, events), pushed) == [1, 2]


def test_a_wait_where_sockets_are_blocked(client, gate, impatient):
    gate.refuses_sockets = True
    slow = client.submit("test.sleep", {"seconds": 1})
    assert client.wait(slow["id"])["status"] == "completed"
    assert client.wait(slow["id"])["status"] == "completed"


def test_a_task_that_is_unknown_where_sockets_are_blocked(client, gate, impatient):
    gate.refuses_sockets = True
    with pytest.raises(NotFound):
        client.wait("00000000-0000-7000-8000-000000000000")


def test_a_wait_survives_a_restart_of_the_hub(hub, client, gate):
    task = client.submit("test.sleep", {"seconds": 1}, delay=2)
    found = []
    waiting = threading.Thread(target=lambda: found.append(client.wait(task["id"], timeout=2 * PATIENCE)))
    waiting.start()
    until(lambda: gate.sockets, "the wait to listen")
    hub.stop()
    hub.start()
    waiting.join()
    assert found[0]["status"] == "completed"


def test_a_revoked_token_ends_the_stream(hub, url):
    status, made = hub.request("POST", "/api/v1/tokens", {"name": "brief", "scopes": ["read"]})
    assert status == 201, made
    with Client(url, made["token"]) as brief, brief.stream() as events:
        hub.submit(name="test.echo")
        next(events)
        hub.request("DELETE", f"/api/v1/tokens/{made['id']}")
        with pytest.raises(Unauthenticated):
            list(events)


# -- pipelines -----------------------------------------------------------------------------------------------------


def test_a_pipeline_is_submitted_and_waited_for(client):
    run = client.pipelines.submit("two", STEPS, input="x", idempotency_key="two-1")
    done = client.pipelines.wait(run["id"], timeout=60)
    assert (done["status"], done["result"]) == ("completed", {"value": "end"})
    assert client.pipelines.submit("two", STEPS, input="x", idempotency_key="two-1")["id"] == run["id"]
    assert client.pipelines.wait(run["id"]) == client.pipelines.get(run["id"])


def test_a_pipeline_that_fails_is_over_too(client):
    run = client.pipelines.submit("broken", [{"name": "only", "handler": "test.permanent"}])
    done = client.pipelines.wait(run["id"], timeout=60)
    assert (done["status"], done["error"]["step"]) == ("failed", "only")
    assert client.pipelines.retry(run["id"])["status"] in ("pending", "processing")


def test_the_verbs_of_pipelines(client):
    run = client.pipelines.submit("held", [{"name": "only", "handler": "test.echo", "delay": 3600}])
    assert client.pipelines.pause(run["id"])["status"] == "paused"
    assert client.pipelines.resume(run["id"])["status"] in ("pending", "processing")
    assert client.pipelines.cancel(run["id"])["status"] == "canceled"
    assert client.pipelines.wait(run["id"])["status"] == "canceled"


def test_a_stream_that_was_closed_has_ended(client):
    events = client.stream()
    events.close()
    assert list(events) == []


def test_threads_share_a_client(client):
    with client.stream() as events:
        submitting = [threading.Thread(target=client.submit, args=["test.echo"]) for _ in range(8)]
        for thread in submitting:
            thread.start()
        created = set()
        until(lambda: len(created) == 8 or created.add(_next_created(events)), "eight tasks")


def _next_created(events):
    return next(event["task_id"] for event in events if event["type"] == "task_created")
