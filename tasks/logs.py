"""The lines that handlers log, in the order in which they were said."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from django.db import transaction
from django.db.models import Max

from tasks.database import transactional
from tasks.models import Task, TaskLog
from tasks.signals import task_logged


@dataclass(frozen=True, slots=True)
class LogLine:
    level: str
    message: str
    timestamp: dt.datetime


@transactional
def append(task: Task, lines: Sequence[LogLine]) -> None:
    """Store lines of the present attempt under the next numbers. The task's row is the lock that keeps their order.

    A task that has been deleted meanwhile keeps none.
    """
    if Task.objects.select_for_update().only("pk").filter(pk=task.pk).first() is None:
        return
    last = TaskLog.objects.filter(task=task).aggregate(last=Max("seq"))["last"] or 0
    TaskLog.objects.bulk_create(
        TaskLog(
            task=task,
            seq=seq,
            number=task.tries,
            level=line.level,
            message=line.message,
            timestamp=line.timestamp,
        )
        for seq, line in enumerate(lines, last + 1)
    )
    transaction.on_commit(partial(task_logged.send_robust, TaskLog, task_id=task.pk))
