"""A pipeline as a program sees it that knows only the protocol: its events in order, and what operators do to it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.hub import Hub
from tests.processes import PATIENCE, until
from tests.receiver import Receiver

pytestmark = pytest.mark.processes

FIELDS = {
    "PipelineStartEvent": {"pipeline_id", "pipeline_type", "timestamp", "input"},
    "StepStartEvent": {"pipeline_id", "step_name", "step_index", "task_id", "timestamp"},
    "StepCompleteEvent": {"pipeline_id", "step_name", "step_index", "result", "duration_ms", "timestamp"},
    "StepErrorEvent": {"pipeline_id", "step_name", "error", "timestamp"},
    "PipelineCompleteEvent": {"pipeline_id", "pipeline_type", "status", "duration_ms", "result", "timestamp"},
    "PipelineErrorEvent": {"pipeline_id", "error", "timestamp"},
}
ENDS = ("PipelineCompleteEvent", "PipelineErrorEvent")


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    hub = Hub(tmp_path_factory.mktemp("hub"))
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture
def receiver(hub):
    return Receiver((hub.log.parent / "callback_secret").read_text().strip())


@pytest.fixture
def socket(hub):
    """Tells of every pipeline, from now on."""
    with hub.stream("/api/v1/stream") as socket:
        socket.send(json.dumps({"type": "subscribe", "pipeline_id": "*", "events": list(FIELDS)}))
        while json.loads(socket.recv(PATIENCE))["type"] != "subscribed":
            pass
        yield socket


def submit(hub, *steps: dict[str, Any], **fields: Any) -> str:
    status, body = hub.request("POST", "/api/v1/pipelines", {"name": "journey", "steps": list(steps), **fields})
    assert status == 201, body
    return body["id"]


def act(hub, id: str, verb: str) -> dict[str, Any]:
    status, body = hub.request("POST", f"/api/v1/pipelines/{id}/{verb}")
    assert status == 200, body
    return body


def reaches(hub, id: str, wanted: str) -> dict[str, Any]:
    return until(
        lambda: (pipeline := hub.request("GET", f"/api/v1/pipelines/{id}")[1])["status"] == wanted and pipeline, wanted
    )


def story(socket, id: str) -> list[dict[str, Any]]:
    """The pipeline's events up to its end, each with the fields that are promised."""
    heard: list[dict[str, Any]] = []
    while not heard or heard[-1]["type"] not in ENDS:
        event = json.loads(socket.recv(PATIENCE))
        if event.get("pipeline_id") == id:
            assert FIELDS[event["type"]] <= event.keys()
            heard.append(event)
    versions = [event["version"] for event in heard]
    assert versions == sorted(set(versions))
    return heard


def plot(events: list[dict[str, Any]]) -> list[str]:
    return [f"{event['type'].removesuffix('Event')} {event.get('step_name', '')}".strip() for event in events]


def test_five_steps_are_told_in_order(hub, socket):
    after = [{"name": f"s{n}", "handler": "test.echo", "payload": {"$result": f"s{n - 1}"}} for n in range(2, 6)]
    first = {"name": "s1", "handler": "test.echo", "payload": {"value": {"$input": True}}}
    id = submit(hub, first, *after, input="monday")
    events = story(socket, id)
    steps = [f"{what} s{n}" for n in range(1, 6) for what in ("StepStart", "StepComplete")]
    assert plot(events) == ["PipelineStart", *steps, "PipelineComplete"]
    start, end = events[0], events[-1]
    assert (start["pipeline_type"], start["input"]) == ("sequential", "monday")
    assert [event["step_index"] for event in events if event["type"] == "StepStartEvent"] == [0, 1, 2, 3, 4]
    assert {json.dumps(event["result"]) for event in events if "result" in event} == {'{"value": "monday"}'}
    assert (end["status"], end["duration_ms"] >= 0) == ("COMPLETED", True)
    assert hub.task(events[1]["task_id"])["step"] == "s1"


def test_a_failed_step_is_told_and_a_retry_goes_on_from_there(hub, socket, receiver):
    receiver.status = 500
    with receiver.listening() as url:
        broken = {"name": "send", "callback_url": url, "max_attempts": 1}
        steps = {"name": "write", "handler": "test.echo"}, broken, {"name": "tell", "handler": "test.echo"}
        id = submit(hub, *steps)
        events = story(socket, id)
        assert plot(events) == [
            "PipelineStart", "StepStart write", "StepComplete write", "StepStart send", "StepError send",
            "PipelineError",
        ]  # fmt: skip
        assert events[-1]["error"]["step"] == "send"
        assert events[-2]["error"]["type"] == events[-1]["error"]["type"]
        receiver.status = 200
        act(hub, id, "retry")
        assert plot(story(socket, id)) == [
            "StepStart send", "StepComplete send", "StepStart tell", "StepComplete tell", "PipelineComplete",
        ]  # fmt: skip


def test_resurrecting_the_failed_step_resumes_the_pipeline(hub, socket, receiver):
    receiver.status = 410
    with receiver.listening() as url:
        id = submit(hub, {"name": "send", "callback_url": url}, {"name": "tell", "handler": "test.echo"})
        failed = [event for event in story(socket, id) if event["type"] == "StepStartEvent"]
        receiver.status = 200
        hub.act(failed[0]["task_id"], "resurrect")
        assert plot(story(socket, id))[-1] == "PipelineComplete"


def test_paused_it_waits_at_the_checkpoint_and_resumed_it_goes_on(hub):
    id = submit(hub, {"name": "long", "handler": "test.steps", "payload": {"count": 20, "pause": 0.2}})
    reaches(hub, id, "processing")
    assert act(hub, id, "pause")["status"] == "paused"
    (step,) = reaches(hub, id, "paused")["steps"]
    hub.reaches(step["task_id"], "paused")
    assert act(hub, id, "resume")["status"] in ("pending", "processing")
    assert reaches(hub, id, "completed")["result"] == {"steps": 20}


def test_canceled_it_ends_at_the_checkpoint_and_starts_nothing_more(hub, socket):
    steps = {"name": "long", "handler": "test.steps", "payload": {"count": 200, "pause": 0.1}}, {"name": "never"}
    id = submit(hub, steps[0], steps[1] | {"handler": "test.echo"})
    reaches(hub, id, "processing")
    assert act(hub, id, "cancel")["status"] == "canceled"
    assert plot(story(socket, id)) == ["PipelineStart", "StepStart long", "PipelineError"]
    assert [step["status"] for step in reaches(hub, id, "canceled")["steps"]] == ["canceled", "waiting"]
