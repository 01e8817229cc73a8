"""Plain functions that put rows where a test wants them, through the same verbs that the hub uses."""

from __future__ import annotations

import datetime as dt
from typing import Any

from tasks import lifecycle, submit
from tasks.changes import Outcome
from tasks.database import database_now
from tasks.models import Task, Worker
from tasks.states import Actions


def make_worker(**fields: Any) -> Worker:
    """A live session."""
    now = database_now()
    defaults = {
        "host": "test", "pid": 1, "role": "plain",
        "started_at": now, "heartbeat_at": now, "expires_at": now + dt.timedelta(minutes=5),
    }  # fmt: skip
    return Worker.objects.create(**defaults | fields)


def claim(task: Task, worker: Worker | None = None) -> Task:
    """The task, processing."""
    (claimed,) = lifecycle.claim(Task.objects.ready().filter(pk=task.pk), worker or make_worker())
    return claimed


def end(task: Task, action: Actions, **fields: Any) -> Task:
    """The claimed task, its attempt ended by `action`."""
    if action in (Actions.FAIL, Actions.BURY):
        fields.setdefault("error", {"type": "RuntimeError", "detail": "it broke", "fingerprint": "f" * 16})
    assert task.lease is not None
    (ended,) = lifecycle.record([Outcome(task.pk, task.lease, action, **fields)], "test")
    return ended


def make_task(status: str = "pending", *, name: str = "test.echo", **options: Any) -> Task:
    """A task that has reached `status` by legal steps only."""
    task = submit(name, **options)
    match status:
        case "pending":
            return task
        case "processing":
            return claim(task)
        case "completed":
            return end(claim(task), Actions.COMPLETE, result={"value": "x"})
        case "failed":
            return end(claim(task), Actions.FAIL)
        case "dead_lettered":
            return end(claim(task), Actions.BURY)
        case "paused":
            return lifecycle.pause(task.pk, "test")
        case "canceled":
            return lifecycle.cancel(task.pk, "test")
    raise ValueError(status)
