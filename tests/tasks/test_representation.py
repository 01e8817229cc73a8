"""The JSON forms have exactly the fields that the contract names."""

from __future__ import annotations

import json

import pytest

from tasks import lifecycle, representation
from tasks.changes import RESULT_LIMIT
from tasks.masking import MASK
from tasks.models import Attempt, Task, TaskEvent
from tasks.states import Actions, States
from tests.factories import claim, end, make_task

pytestmark = pytest.mark.django_db

TASK = [
    "id", "name", "queue", "priority", "status", "requested", "payload", "callback_url", "attempt",
    "max_attempts", "run_at", "timeout", "progress", "result", "error", "version", "owner", "tags",
    "pipeline", "step", "worker", "created_at", "started_at", "eta", "finished_at", "updated_at",
]  # fmt: skip
UPDATED = ["task_id", "task_name", "queue", "status", "version", "previous_status", "attempt", "message", "error"]


def event(task, version):
    return representation.event_json(TaskEvent.objects.get(task_id=task.pk, version=version), "c1")


@pytest.mark.parametrize("status", States.values)
def test_a_task_in_any_status_has_the_same_fields_and_is_json(status):
    body = representation.task_json(Task.objects.get(pk=make_task(status).pk))
    assert list(body) == TASK
    assert json.loads(json.dumps(body)) == body
    assert body["status"] == status
    assert (body["finished_at"] is None) == (status not in ("completed", "dead_lettered", "canceled"))


def test_what_is_secret_or_not_for_the_api_stays_inside(alice):
    task = make_task(
        name=None, owner=alice, callback_url="https://example.org/?token=canary",
        callback_headers={"X-Key": "canary"}, payload={"password": "canary"},
    )  # fmt: skip
    body = representation.task_json(task)
    assert "canary" not in json.dumps(body)
    assert body["payload"] == {"password": MASK}
    assert body["owner"] == "alice"


def test_times_are_utc():
    body = representation.task_json(make_task())
    assert body["created_at"].endswith("Z")


def test_frames_of_creation_progress_and_completion():
    task = claim(make_task())
    lifecycle.report([lifecycle.Progress(task.pk, task.lease, 50.0, "half")], "test")
    end(task, Actions.COMPLETE, result={"value": 1}, result_size=11)
    head = ["type", "event_id", "cursor", "timestamp"]
    created, progress, completed = event(task, 1), event(task, 3), event(task, 4)
    assert sorted(created) == sorted([*head, "task_id", "task_name", "queue", "status", "version"])
    told = ["percent", "message", "eta"]
    assert sorted(progress) == sorted([*head, "task_id", "task_name", "queue", "status", "version", *told])
    assert sorted(completed) == sorted([*head, *UPDATED, "result"])
    assert (progress["percent"], progress["message"]) == (50.0, "half")
    assert completed["result"] == {"value": 1}
    assert created["event_id"] == f"{task.pk}:1"


def test_a_failure_carries_its_error_and_no_result():
    frame = event(make_task("failed"), 3)
    assert frame["error"] == {"type": "RuntimeError", "detail": "it broke", "fingerprint": "f" * 16}
    assert "result" not in frame


def test_a_large_result_is_left_out():
    task = end(claim(make_task()), Actions.COMPLETE, result="x", result_size=RESULT_LIMIT + 1)
    frame = event(task, 3)
    assert frame["result_omitted"] is True
    assert "result" not in frame


def test_an_attempt_that_runs_and_one_that_ended_look_alike():
    running = representation.running_attempt_json(make_task("processing"))
    ended = representation.attempt_json(Attempt.objects.get(task=make_task("failed")))
    assert list(running) == list(ended)
    assert (running["number"], running["outcome"], ended["outcome"]) == (1, None, "failed")
