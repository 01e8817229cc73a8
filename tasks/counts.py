"""How many tasks are where: exact, without ever counting them.

The log's writer adds each change as a row of `QueueCount`. The sum of all rows is the answer; a sweep keeps them few.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

from django.db import connection
from django.db.models import Count, Min, Sum

from tasks.database import database_now, transactional
from tasks.models import Queue, QueueCount, Task, Worker
from tasks.states import WAITING, States

Totals = Counter[tuple[str, str]]


def totals() -> Totals:
    """The number of tasks by (queue, status). A pair without tasks is missing, and reads as 0."""
    sums = QueueCount.objects.values_list("queue", "status").annotate(sum=Sum("n")).order_by()
    return Counter({(queue, status): n for queue, status, n in sums if n})


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
    return [_queue(name, counted, now, paused.get(name) is not None) for name in names]


def queue(name: str) -> dict[str, Any]:
    """One queue, known or not: an unknown one is empty and runs."""
    return _queue(name, totals(), database_now(), Queue.objects.filter(name=name, paused_at__isnull=False).exists())


def workers_online(now: dt.datetime | None = None) -> int:
    """How many worker sessions hold a lease."""
    return Worker.objects.filter(stopped_at=None, lost_at=None, expires_at__gt=now or database_now()).count()


def _queue(name: str, counted: Totals, now: dt.datetime, paused: bool) -> dict[str, Any]:
    waiting = any(counted[name, status] for status in WAITING)
    return {
        "name": name,
        "pending": counted[name, States.PENDING],
        "active": counted[name, States.PROCESSING],
        "failed": counted[name, States.FAILED],
        "dead_lettered": counted[name, States.DEAD_LETTERED],
        "oldest_pending_s": _oldest_wait(name, now) if waiting else None,
        "paused": paused,
    }


def _oldest_wait(queue: str, now: dt.datetime) -> float | None:
    """For how many seconds the task that is due longest has waited; None when nothing is due."""
    due_since = Task.objects.filter(ready=True, queue=queue).aggregate(first=Min("run_at"))["first"]
    return max(0.0, round((now - due_since).total_seconds(), 3)) if due_since else None


def _sum(counted: Totals, status: str) -> int:
    return sum(n for (_, of), n in counted.items() if of == status)


# -- the sweep -----------------------------------------------------------------------------------------------------


def fold() -> int:
    """Replace the rows by one for each queue and status. Returns how many rows less there are."""
    rows = QueueCount.objects.aggregate(n=Count("pk"))["n"]
    pairs = QueueCount.objects.values("queue", "status").distinct().count()
    return _fold() if rows > pairs else 0  # an idle hub writes nothing: a write would wake everybody who waits


@transactional
def _fold() -> int:
    sums: Totals = Counter()
    taken = _take_all()
    for queue, status, n in taken:
        sums[queue, status] += n
    kept = [QueueCount(queue=queue, status=status, n=n) for (queue, status), n in sorted(sums.items()) if n]
    QueueCount.objects.bulk_create(kept)
    return len(taken) - len(kept)


def _take_all() -> list[tuple[str, str, int]]:
    """What another fold takes at the same time is its own: DELETE returns to each only what it deleted itself."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM tasks_queuecount RETURNING queue, status, n")
        return cursor.fetchall()
