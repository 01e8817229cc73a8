"""How many tasks of one owner may wait, so that a loop gone wild cannot fill the hub. The counts know how many do.

A task waits while it is pending, failed or paused. What is unowned has no limit, nor have the later steps of pipelines.
"""

from __future__ import annotations

from django.conf import settings
from django.db import connection

from tasks.exceptions import BacklogFull

SLACK = 10_000  # tasks: so far below the limit nobody has to wait for others to be counted
LOCKS = 0x7461736B  # this kind of advisory lock among all of the database


def waiting(owner_id: int) -> int:
    """How many tasks of that owner wait."""
    with connection.cursor() as cursor:  # each submission asks: the ORM would take twenty times as long
        cursor.execute("SELECT sum(n) FROM tasks_ownercount WHERE owner_id = %s", [owner_id])
        return int(cursor.fetchone()[0] or 0)


def demand_room(owner_id: int | None, number: int) -> None:
    """Raises `BacklogFull` if `number` more would be too many. Ask in the transaction that stores them.

    SQLite has one writer. On PostgreSQL submissions of one owner near the limit wait for each other; so it could be
    passed only by more than `SLACK` tasks that are stored in the same instant.
    """
    limit = settings.TASKHUB_BACKLOG_LIMIT
    if owner_id is None or not limit:
        return
    if waiting(owner_id) + number > limit - SLACK:
        _queue_up(owner_id)
        if (present := waiting(owner_id)) + number > limit:
            raise BacklogFull(
                f"Of your tasks {present:,} wait already; with {number:,} more it would be over {limit:,}, the limit."
            )


def _queue_up(owner_id: int) -> None:
    """Until the end of the transaction nobody else passes here for this owner."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCKS, owner_id % 2**31])
