"""An operator's verb for many tasks: each for itself, in chunks, so that one refusal stops nothing.

What is done is told twice in the transaction that does it: by the verb in the event log, and in Django's `LogEntry`.
"""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry

from tasks import lifecycle
from tasks.database import transactional
from tasks.exceptions import Conflict
from tasks.models import Task
from tasks.models.tasks import TaskQuerySet
from tasks.states import TABLE, Actions, allowed

LIMIT = 10_000  # tasks that one request changes at most
BUDGET = 20  # seconds after which it begins no further chunk: what is in front of us ends requests after a minute or so
CHUNK = 50  # tasks that one transaction changes: workers wait for no more than that
VERBS = {
    Actions.RETRY: lifecycle.retry,
    Actions.RESURRECT: lifecycle.resurrect,
    Actions.CANCEL: lifecycle.cancel,
    Actions.PAUSE: lifecycle.pause,
    Actions.RESUME: lifecycle.resume,
}


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
        changed, refused = _chunk(tasks, action, ordered[start : start + CHUNK], user)
        report.asked += (asked := sum(1 for task in changed if task.requested))
        report.changed += len(changed) - asked
        report.refused += refused
    return report


@transactional
def _chunk(
    tasks: TaskQuerySet, action: Actions, ids: Sequence[uuid.UUID], user: Any
) -> tuple[list[Task], list[Refusal]]:
    """The tasks that changed, and those that refused."""
    steps: list[tuple[Task, Task]] = []
    refused: list[Refusal] = []
    named = tasks.filter(pk__in=ids).only("pk", "name", "status", "requested")
    for before in named.order_by("pk").select_for_update(of=("self",)):
        try:
            steps.append((before, VERBS[action](before.pk, user.get_username())))
        except Conflict as conflict:
            refused.append(Refusal(before, str(conflict)))
    _log(action, steps, user)
    return [after for _, after in steps], refused


def _log(action: Actions, steps: Iterable[tuple[Task, Task]], user: Any) -> None:
    """One entry for each task: who, what, before and after."""
    alike: defaultdict[str, list[Task]] = defaultdict(list)
    for before, after in steps:
        alike[f"{action}: {_standing(before)} → {_standing(after)}"].append(after)
    for message, tasks in alike.items():
        LogEntry.objects.log_actions(user.pk, tasks, CHANGE, message)


def _standing(task: Task) -> str:
    return f"{task.status} ({task.requested} requested)" if task.requested else task.status
