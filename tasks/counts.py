"""How many tasks are where: exact, without ever counting them.

The log's writer adds each change as a row of `QueueCount`. The sum of all rows is the answer; a sweep keeps them few.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.db import connection
from django.db.models import Model

from tasks.database import database_now, transactional
from tasks.models import OwnerCount, Queue, QueueCount, Task, Worker
from tasks.rows import insert
from tasks.states import WAITING, States

Totals = Counter[tuple[str, str]]

FIRST_DUE = """
    SELECT * FROM (
        SELECT id, queue, run_at FROM tasks_task WHERE queue = %s AND ready = %s ORDER BY run_at LIMIT 1
    ) AS first
"""
UNION_LIMIT = 100  # SQLite takes no more than 500


def totals() -> Totals:
    """The number of tasks by (queue, status). A pair without tasks is missing, and reads as 0."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT queue, status, sum(n) FROM tasks_queuecount GROUP BY queue, status")
        return Counter({(queue, status): int(n) for queue, status, n in cursor.fetchall() if n})


def queue_status() -> dict[str, Any]:
    """The body of `GET /queue/status`: the whole hub, with every change that was committed before."""
    counted, now = totals(), database_now()
    by_status = {str(status): _sum(counted, status=status) for status in States}
    return {
        "total_tasks": counted.total(),
        "active_tasks": by_status[States.PROCESSING],
        "pending_tasks": by_status[States.PENDING],
        "workers_online": workers_online(now),
        "by_status": by_status,
        "queues": queues(counted, now),
        "timestamp": now.isoformat().replace("+00:00", "Z"),
    }


def queues(counted: Totals | None = None, now: dt.datetime | None = None) -> list[dict[str, Any]]:
    """Each queue that holds tasks or that an operator has touched, by name."""
    counted, now = totals() if counted is None else counted, now or database_now()
    paused = dict(Queue.objects.values_list("name", "paused_at"))
    names = sorted({queue for queue, _ in counted} | paused.keys())
    due = _due_since(counted, names)
    return [_queue(name, counted, _wait(due.get(name), now), paused.get(name) is not None) for name in names]


def queue(name: str) -> dict[str, Any]:
    """One queue, known or not: an unknown one is empty and runs."""
    counted, paused = totals(), Queue.objects.filter(name=name, paused_at__isnull=False).exists()
    return _queue(name, counted, _wait(_due_since(counted, [name]).get(name), database_now()), paused)


def workers_online(now: dt.datetime | None = None) -> int:
    """How many worker sessions hold a lease."""
    return Worker.objects.filter(stopped_at=None, lost_at=None, expires_at__gt=now or database_now()).count()


def _queue(name: str, counted: Totals, wait: float | None, paused: bool) -> dict[str, Any]:
    return {
        "name": name,
        "pending": counted[name, States.PENDING],
        "active": counted[name, States.PROCESSING],
        "failed": counted[name, States.FAILED],
        "dead_lettered": counted[name, States.DEAD_LETTERED],
        "oldest_pending_s": wait,
        "paused": paused,
    }


def _due_since(counted: Totals, names: list[str]) -> dict[str, dt.datetime]:
    """When the task of each of these queues that waits longest was due: an index look-up each, in few statements."""
    waiting = [name for name in names if any(counted[name, status] for status in WAITING)]
    parts = [waiting[start : start + UNION_LIMIT] for start in range(0, len(waiting), UNION_LIMIT)]
    return {task.queue: task.run_at for part in parts for task in _first_due(part)}


def _first_due(queues: list[str]) -> Iterable[Task]:
    parameters = [parameter for name in queues for parameter in (name, True)]
    return Task.objects.raw(" UNION ALL ".join([FIRST_DUE] * len(queues)), parameters)


def _wait(due: dt.datetime | None, now: dt.datetime) -> float | None:
    return max(0.0, round((now - due).total_seconds(), 3)) if due else None


def _sum(counted: Totals, status: str) -> int:
    return sum(n for (_, of), n in counted.items() if of == status)


# -- the sweep -----------------------------------------------------------------------------------------------------


FOLDED: dict[type[Model], str] = {QueueCount: "queue, status", OwnerCount: "owner_id"}


def fold() -> int:
    """Replace the rows of what has several by one each. Returns how many rows less there are."""
    return sum(_fold(model, columns) for model, columns in FOLDED.items() if _is_long(model, columns))


def _is_long(model: type[Model], columns: str) -> bool:
    """An idle hub writes nothing: a write would wake everybody who waits."""
    with connection.cursor() as cursor:
        cursor.execute(f"{_repeated(model, columns)} LIMIT 1")
        return cursor.fetchone() is not None


@transactional
def _fold(model: type[Model], columns: str) -> int:
    sums: Counter[tuple[Any, ...]] = Counter()
    taken = _take(model, columns)
    for *key, n in taken:
        sums[tuple(key)] += n
    names = columns.split(", ")
    kept = [model(**dict(zip(names, key, strict=True)), n=n) for key, n in sorted(sums.items()) if n]
    insert(kept)
    return len(taken) - len(kept)


def _take(model: type[Model], columns: str) -> list[tuple[Any, ...]]:
    """What another fold takes at the same time is its own: DELETE returns to each only what it deleted itself."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {model._meta.db_table} WHERE ({columns}) IN ({_repeated(model, columns)})"  # noqa: S608 - our own names
            f" RETURNING {columns}, n"
        )
        return cursor.fetchall()


def _repeated(model: type[Model], columns: str) -> str:
    return f"SELECT {columns} FROM {model._meta.db_table} GROUP BY {columns} HAVING count(*) > 1"  # noqa: S608 - our own names
