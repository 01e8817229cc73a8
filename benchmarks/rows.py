"""A hub's table after years of work: many tasks, the same every time, made in a minute instead of an hour.

A few thousand are made one by one, in the last hours of the time that they are to cover. The database copies them,
with new ids and earlier times, until there are enough.
"""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections import Counter
from typing import Any

SEED = 10_000  # tasks that are made one by one
SPAN = dt.timedelta(days=300)
OWNERS, QUEUES, NAMES, TAGS = 50, 10, 20, 40
STATUSES = {"completed": 88, "pending": 6, "failed": 3, "dead_lettered": 2, "canceled": 1}  # in a hundred
TIMES = ("run_at", "created_at", "updated_at", "finished_at")

# A copy's id begins with its own time of creation, as a UUIDv7 does; `{n}` is how many steps it lies back.
MOVED = {
    "sqlite": {
        "series": "WITH RECURSIVE copies(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < %(copies)s)",
        "id": "printf('%%012x', CAST(1000 * (unixepoch(created_at) - n * %(step)s) AS INTEGER)) || substr(id, 13)",
        "time": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', {0}, (-n * %(step)s) || ' seconds')",
    },
    "postgresql": {
        "series": "WITH copies(n) AS (SELECT generate_series(1, %(copies)s))",
        "id": "(lpad(to_hex((1000 * (extract(epoch FROM created_at) - n * %(step)s))::bigint), 12, '0')"
        " || substr(replace(id::text, '-', ''), 13))::uuid",
        "time": "{0} - n * %(step)s * interval '1 second'",
    },
}


def generate(number: int) -> None:
    """Put `number` tasks, a multiple of `SEED` or fewer than it, into an empty database; written past the verbs."""
    from django.contrib.auth import get_user_model
    from django.db import connection

    from tasks.models import OwnerCount, QueueCount, Task
    from tasks.states import BACKLOG

    choose, seed, copies = random.Random(7), min(number, SEED), max(1, number // SEED)
    owners = get_user_model().objects.bulk_create(get_user_model()(username=f"owner{n}") for n in range(OWNERS))
    step = SPAN.total_seconds() / copies
    now = dt.datetime.now(dt.UTC)
    rows = [_task(choose, owners, now - dt.timedelta(seconds=step * (1 - n / seed))) for n in range(seed)]
    Task.objects.bulk_create(rows, batch_size=1000)
    _copy(copies - 1, step)
    counts = Counter((row.queue, row.status) for row in rows)
    QueueCount.objects.bulk_create(
        QueueCount(queue=queue, status=status, n=n * copies) for (queue, status), n in counts.items()
    )
    backlog = Counter(row.owner_id for row in rows if row.status in BACKLOG)
    OwnerCount.objects.bulk_create(OwnerCount(owner_id=owner, n=n * copies) for owner, n in backlog.items())
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def _copy(copies: int, step: float) -> None:
    from django.db import connection

    from tasks.models import Task

    if not copies:
        return
    moved = MOVED[connection.vendor]
    columns = [field.column for field in Task._meta.concrete_fields]
    changed = {"id": moved["id"]} | {name: moved["time"].format(name) for name in TIMES}
    values = ", ".join(changed.get(column, column) for column in columns)
    statement = f"{moved['series']} SELECT {values} FROM tasks_task, copies"
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO tasks_task ({', '.join(columns)}) {statement}", {"copies": copies, "step": step})


def _task(choose: random.Random, owners: list[Any], created_at: dt.datetime) -> Any:
    from tasks.models import Task

    status = choose.choices(list(STATUSES), STATUSES.values())[0]
    has_failed = status in ("failed", "dead_lettered")
    return Task(
        id=uuid.UUID(int=(int(created_at.timestamp() * 1000) << 80) | 7 << 76 | 2 << 62 | choose.getrandbits(62)),
        name=f"name{choose.randrange(NAMES)}",
        queue=f"queue{choose.randrange(QUEUES)}",
        status=status,
        owner=choose.choice(owners),
        tags=[f"tag{choose.randrange(TAGS)}"],
        payload={"customer": choose.randrange(10**6), "month": "2026-11", "note": "x" * choose.randrange(200)},
        error={"type": "E", "detail": "it broke", "fingerprint": "f" * 16} if has_failed else None,
        fingerprint="f" * 16 if has_failed else "",
        run_at=created_at,
        ready=status == "pending",
        created_at=created_at,
        updated_at=created_at,
        finished_at=created_at if status in ("completed", "dead_lettered", "canceled") else None,
    )
