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
from tasks.database import insert
from tasks.models import QueueCount, Task, TaskEvent
from tasks.signals import task_changed


def event_of(task: Task, type: str, now: dt.datetime, **fields: Any) -> TaskEvent:
    """The log row for `task` as it is now."""
    return TaskEvent(
        type=type,
        task_id=task.id,
        pipeline_id=task.pipeline_id,
        version=task.version,
        status=task.status,
        attempt=task.attempt,
        name=task.name,
        queue=task.queue,
        owner_id=task.owner_id,
        timestamp=now,
        **fields,
    )


def append(rows: Sequence[TaskEvent]) -> None:
    """Add `rows` and the change in the counts that they amount to; announce them once the transaction has committed."""
    insert(rows)
    _count(rows)
    transaction.on_commit(partial(_announce, rows))


def forget(tasks: Iterable[Task]) -> None:
    """The tasks are deleted: they count no more. What they went through stays in the log for its own time."""
    _store(Counter({key: -n for key, n in Counter((task.queue, task.status) for task in tasks).items()}))


def _count(rows: Iterable[TaskEvent]) -> None:
    change: Counter[tuple[str, str]] = Counter()
    for row in rows:
        if row.task_id and row.status != row.previous_status:
            change[row.queue, row.status] += 1
            if row.previous_status:
                change[row.queue, row.previous_status] -= 1
    _store(change)


def _store(change: Counter[tuple[str, str]]) -> None:
    insert([QueueCount(queue=queue, status=status, n=n) for (queue, status), n in sorted(change.items()) if n])


def _announce(rows: Iterable[TaskEvent]) -> None:
    failpoints.reach("publish.begin")
    for row in rows:
        task_changed.send_robust(TaskEvent, event=row)
    failpoints.reach("publish.end")
