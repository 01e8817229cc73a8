"""The newest rows of the event log, past the ORM: a feed asks for them up to a hundred times a second.

A model instance for each row would cost more than everything else that is done for an event.
"""

from __future__ import annotations

import datetime as dt
import functools
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from django.db import connection

from tasks.models import TaskEvent

LARGEST_ID = 2**63 - 1


class Row(NamedTuple):
    """What a reader of the log needs of a `TaskEvent`, under the same names."""

    id: int
    type: str
    task_id: uuid.UUID | None
    pipeline_id: uuid.UUID | None
    timestamp: dt.datetime
    version: int
    previous_status: str | None
    status: str
    attempt: int
    actor: str
    message: str
    name: str
    queue: str
    owner_id: int | None
    data: dict[str, Any]


COLUMNS = ", ".join(Row._fields)
SELECTED = {"sqlite": COLUMNS}
# Microseconds since 1970: to parse a time would cost half of what a whole row costs.
SELECTED["postgresql"] = COLUMNS.replace("timestamp", "(extract(epoch FROM timestamp) * 1000000)::bigint")
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

# By its second bound PostgreSQL expects few rows and takes the index, also before it has looked at the table for the
# first time; it would read the whole log for each answer otherwise.
NEW = "SELECT {selected} FROM {table} WHERE id > %s AND id <= {largest} ORDER BY id LIMIT {limit}"
LATE = """
    SELECT {selected} FROM unnest(%s::bigint[], %s::bigint[]) AS hole(first, last) CROSS JOIN LATERAL (
      SELECT * FROM {table} WHERE id BETWEEN hole.first AND hole.last ORDER BY id LIMIT {limit}
    ) AS filled
"""
BOTH = LATE + f"UNION ALL ({NEW}) ORDER BY id LIMIT {{limit}}"


def rows(high: int, holes: Sequence[Sequence[Any]], limit: int) -> list[Row]:
    """What is committed above `high` or in one of the `holes` (first and last id), by id, at most `limit`.

    One statement, so one snapshot: else a task's next version might be seen without the one before it.
    """
    if not holes:
        return _asked(NEW, limit, [high])
    return _asked(BOTH, limit, [[hole[0] for hole in holes], [hole[1] for hole in holes], high])


def late_rows(holes: Sequence[Sequence[Any]], limit: int) -> list[Row]:
    """The same, of the holes only."""
    return rows(LARGEST_ID, holes, limit)


def _asked(template: str, limit: int, parameters: list[Any]) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(_statement(connection.vendor, template, limit), parameters)
        return list((_from_postgresql if connection.vendor == "postgresql" else _from_sqlite)(cursor.fetchall()))


@functools.cache
def _statement(vendor: str, template: str, limit: int) -> str:
    table = connection.ops.quote_name(TaskEvent._meta.db_table)
    return template.format(selected=SELECTED[vendor], table=table, largest=LARGEST_ID, limit=limit)


def _from_postgresql(values: Iterable[tuple[Any, ...]]) -> Iterator[Row]:
    for id, type, task_id, pipeline_id, microseconds, *columns, data in values:
        timestamp = EPOCH + dt.timedelta(microseconds=microseconds)
        yield Row._make((id, type, task_id, pipeline_id, timestamp, *columns, _decoded(data)))


def _from_sqlite(values: Iterable[tuple[Any, ...]]) -> Iterator[Row]:
    for id, type, task_id, pipeline_id, timestamp, *columns, data in values:
        of_task = uuid.UUID(task_id) if task_id else None
        of_pipeline = uuid.UUID(pipeline_id) if pipeline_id else None
        utc = timestamp.replace(tzinfo=dt.UTC)
        yield Row._make((id, type, of_task, of_pipeline, utc, *columns, _decoded(data)))


def _decoded(data: str) -> dict[str, Any]:
    return {} if data == "{}" else msgspec.json.decode(data)  # as it is for half of all events
