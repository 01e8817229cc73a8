"""Writing to the event log. `tasks.lifecycle` appends, in the transaction of the change; nobody changes a row.

Reading from a cursor is in `tasks.cursor`.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from django.db import transaction

from tasks import failpoints
from tasks.models import OwnerCount, QueueCount, Task, TaskEvent
from tasks.rows import insert, new
from tasks.signals import log_written, task_changed
from tasks.states import BACKLOG

Totals = Counter[Any]
Counts = tuple[list[QueueCount], list[OwnerCount]]


def event_of(
    task: Task,
    type: str,
    now: dt.datetime,
    actor: str,
    action: str = "",
    previous_status: str | None = None,
    message: str = "",
    data: dict[str, Any] | None = None,
) -> TaskEvent:
    """The log row for `task` as it is now."""
    return new(
        TaskEvent,
        id=None,
        type=type,
        task_id=task.pk,
        pipeline_id=task.pipeline_id,
        version=task.version,
        action=action,
        previous_status=previous_status,
        status=task.status,
        attempt=task.attempt,
        actor=actor[:200],
        message=message[:500],
        data=data or {},
        name=task.name,
        queue=task.queue,
        owner_id=task.owner_id,
        timestamp=now,
    )


def append(rows: Sequence[TaskEvent]) -> None:
    """Add `rows` and the change in the counts that they amount to; announce them once the transaction has committed."""
    insert(rows, *_counted(rows))
    transaction.on_commit(partial(_announce, rows))


def forget(tasks: Iterable[Task]) -> None:
    """The tasks are deleted: they count no more. What they went through stays in the log for its own time."""
    queues, owners = Totals(), Totals()
    for task in tasks:
        _move(queues, owners, task, task.status, None)
    insert(*_rows(queues, owners))


def _counted(rows: Iterable[TaskEvent]) -> Counts:
    queues, owners = Totals(), Totals()
    for row in rows:
        if row.task_id and row.status != row.previous_status:
            _move(queues, owners, row, row.previous_status, row.status)
    return _rows(queues, owners)


def _move(queues: Totals, owners: Totals, of: Task | TaskEvent, before: str | None, after: str | None) -> None:
    """Count one task out of one status and into another; None is neither stored yet nor any more."""
    if before:
        queues[of.queue, before] -= 1
    if after:
        queues[of.queue, after] += 1
    if of.owner_id:
        owners[of.owner_id] += (after in BACKLOG) - (before in BACKLOG)


def _rows(queues: Totals, owners: Totals) -> Counts:
    return (
        [QueueCount(queue=queue, status=status, n=n) for (queue, status), n in sorted(queues.items()) if n],
        [OwnerCount(owner_id=owner_id, n=n) for owner_id, n in sorted(owners.items()) if n],
    )


def _announce(rows: Sequence[TaskEvent]) -> None:
    failpoints.reach("publish.begin")
    for row in rows:
        task_changed.send_robust(TaskEvent, event=row)
    log_written.send_robust(TaskEvent, events=rows)
    failpoints.reach("publish.end")
