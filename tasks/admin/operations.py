"""An operator's verb for many tasks, in chunks: a request has its time, and workers wait for no more than one chunk."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tasks.lifecycle import DECISIONS
from tasks.models import Task
from tasks.models.tasks import TaskQuerySet
from tasks.operations import operate_all
from tasks.states import TABLE, Actions, allowed

LIMIT = 10_000  # tasks that one request changes at most
BUDGET = 20  # seconds after which it begins no further chunk: what is in front of us ends requests after a minute or so
CHUNK = 50  # tasks that one transaction changes: workers wait for no more than that
VERBS = tuple(DECISIONS)


@dataclass(frozen=True, slots=True)
class Refusal:
    task: Task
    reason: str


@dataclass(slots=True)
class Report:
    """What came of it. Tasks that are gone or not visible are nowhere in it."""

    action: Actions
    changed: int = 0
    asked: int = 0  # tasks that run, and were asked to stop at their next checkpoint
    refused: list[Refusal] = field(default_factory=list)
    left: int = 0  # tasks that the time was too short for


def candidates(tasks: TaskQuerySet, action: Actions) -> list[uuid.UUID]:
    """The oldest `LIMIT` tasks that `action` can change; read state by state, as the indexes have them."""
    ids: list[uuid.UUID] = []
    for status in TABLE[action]:
        ids += tasks.filter(status=status).order_by("pk").values_list("pk", flat=True)[:LIMIT]
    return sorted(ids)[:LIMIT]


def offered(task: Task) -> list[Actions]:
    """What an operator may ask of the task as it is. A request that is pending is not offered twice."""
    return [
        action
        for action in allowed(task.status)
        if task.requested not in (Actions.CANCEL, action) and not (action is Actions.PAUSE and task.deferred_until)
    ]


def operate(tasks: TaskQuerySet, action: Actions, ids: Iterable[uuid.UUID], user: Any) -> Report:
    """Do `action` to those of `tasks` that have one of the `ids`, in their order. Refusals are reported, not raised."""
    report, ordered, end = Report(action), sorted(ids), time.monotonic() + BUDGET
    for start in range(0, len(ordered), CHUNK):
        if start and time.monotonic() >= end:
            report.left = len(ordered) - start
            break
        chunk = tasks.filter(pk__in=ordered[start : start + CHUNK]).defer("payload", "result", "state")
        done = operate_all(chunk, action, user)
        report.asked += (asked := sum(1 for _, task in done.changed if task.requested))
        report.changed += len(done.changed) - asked
        report.refused += [Refusal(task, str(conflict)) for task, conflict in done.refused]
    return report
