"""Queues over HTTP."""

from __future__ import annotations

import pytest

from tasks.models import Queue
from tests.factories import make_task, make_worker
from tests.tasks.api.conftest import assert_problem


def test_the_status_of_the_whole_hub(submitter, alice):
    make_task("processing", owner=alice)
    make_task(owner=alice, queue="reports")
    make_worker()
    body = submitter.get("/queue/status").json()
    assert list(body) == [
        "total_tasks", "active_tasks", "pending_tasks", "workers_online", "by_status", "queues", "timestamp",
    ]  # fmt: skip
    assert (body["total_tasks"], body["active_tasks"], body["pending_tasks"]) == (2, 1, 1)
    assert body["workers_online"] == 2
    assert [(queue["name"], queue["pending"], queue["active"]) for queue in body["queues"]] == [
        ("default", 0, 1),
        ("reports", 1, 0),
    ]
    listed = submitter.get("/queues").json()["results"]
    assert [queue["name"] for queue in listed] == ["default", "reports"]
    assert [list(queue) for queue in listed] == [list(queue) for queue in body["queues"]]


def test_the_status_includes_what_was_just_submitted(submitter):
    for n in range(3):
        submitter.post("/tasks", {"name": "test.echo"})
        assert submitter.get("/queue/status").json()["pending_tasks"] == n + 1


def test_a_paused_queue_says_so_until_it_is_resumed(operator):
    make_task(queue="reports")
    for _ in range(2):
        response = operator.post("/queues/reports/pause")
        assert (response.status_code, response.json()["paused"]) == (200, True)
    assert Queue.objects.get(name="reports").paused_at is not None
    assert operator.get("/queues").json()["results"][0]["paused"] is True
    assert operator.post("/queues/reports/resume").json()["paused"] is False


def test_a_queue_may_be_paused_before_its_first_task(operator):
    assert operator.post("/queues/night/pause").json() == {
        "name": "night", "pending": 0, "active": 0, "failed": 0, "dead_lettered": 0, "oldest_pending_s": None,
        "paused": True,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["a%20b", "x" * 101, "%00", "a%2fb"])
def test_what_cannot_be_a_queue_is_nowhere(operator, name):
    assert_problem(operator.post(f"/queues/{name}/pause"), 404)
    assert not Queue.objects.exists()


def test_the_active_tasks_that_one_may_see(submitter, viewer, alice):
    make_task(owner=submitter.user)
    hers = make_task("processing", owner=alice, payload={"value": "x"})
    mine = make_task("processing", owner=submitter.user)
    (only,) = submitter.get("/queue/tasks").json()["results"]
    assert only["id"] == str(mine.pk)
    first, _ = viewer.get("/queue/tasks").json()["results"]
    assert first.pop("elapsed_s") >= 0
    assert first.pop("started_at")
    assert first == {
        "id": str(hers.pk), "handler": "test.echo", "queue": "default", "owner": "alice", "attempt": 1,
        "payload": {"value": "x"}, "progress": {"percent": None, "message": ""}, "worker": str(hers.worker_id),
    }  # fmt: skip


def test_active_tasks_come_in_pages(viewer):
    tasks = [make_task("processing") for _ in range(3)]
    first = viewer.get("/queue/tasks", {"limit": 2}).json()
    second = viewer.get(first["next"]).json()
    found = [row["id"] for row in first["results"] + second["results"]]
    assert found == [str(task.pk) for task in tasks]
    assert second["next"] is None
