"""What we ask of the database beyond the ORM: its clock, ids in order of time, transactions that are tried again."""

from __future__ import annotations

import datetime as dt
import functools
import random
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import Any, ParamSpec, TypeVar

import uuid_utils.compat
from django.db import OperationalError, connection, connections, transaction
from django.db.models import AutoField, BigAutoField, Field, Model

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=Model)

TRIES = 8
SERIALIZATION_FAILURE, DEADLOCK_DETECTED = "40001", "40P01"


def uuid7() -> uuid.UUID:
    """A new id that sorts by its time of creation (RFC 9562, version 7)."""
    return uuid_utils.compat.uuid7()


def database_now() -> dt.datetime:
    """The database's clock, aware, in UTC: the one clock that leases, deadlines and `run_at` are measured by."""
    if connection.vendor == "sqlite":  # the database is this process, so its clock is ours
        return dt.datetime.now(dt.UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0].astimezone(dt.UTC)


def transactional(write: Callable[P, R]) -> Callable[P, R]:
    """Run `write` in a transaction, again from its start when the database chose it as a deadlock's victim.

    Inside a transaction of the caller's it joins that one, and a deadlock is the caller's to handle.
    """

    @functools.wraps(write)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        tries = 1 if connection.in_atomic_block else TRIES
        for left in reversed(range(tries)):
            try:
                with transaction.atomic():
                    return write(*args, **kwargs)
            except OperationalError as error:
                if not (left and is_conflict(error)):
                    raise
                time.sleep(random.uniform(0, 0.05))  # noqa: S311 - so that two victims don't meet again
        raise AssertionError("unreachable")

    return run


def look_up(model: type[M], **which: Any) -> M | None:
    """The row that has this value in a unique field, or None. The ORM takes five times as long to say the same."""
    ((name, value),) = which.items()
    field: Any = model._meta.pk if name == "pk" else model._meta.get_field(name)
    database, table = connections[connection.alias], model._meta.db_table
    statement = f"SELECT * FROM {database.ops.quote_name(table)} WHERE {field.column} = %s"  # noqa: S608 - our own names
    return next(iter(model._default_manager.raw(statement, [field.get_db_prep_value(value, database)])), None)


def insert(*batches: Sequence[Model]) -> None:
    """Insert new rows, each batch of one model, in this order and in one trip to PostgreSQL.

    `bulk_create` costs four times as much for each, which the engine would feel. The database gives the ids of rows
    that have none, and nobody here is told them.
    """
    if not any(batches):
        return
    database = connections[connection.alias]  # looked up once, not for each value
    with database.wrap_database_errors, database.cursor() as cursor, _one_trip(database):
        for rows in filter(None, batches):
            fields, statement = _insertion(type(rows[0]), database.alias)
            values = [
                [field.get_db_prep_save(getattr(row, field.attname), database) for field in fields] for row in rows
            ]
            _execute(cursor, statement, values)
    for row in chain(*batches):
        row._state.adding, row._state.db = False, database.alias


def _one_trip(database: Any) -> AbstractContextManager:
    """Within it PostgreSQL's answers are awaited at the end, all together."""
    return database.connection.pipeline() if database.vendor == "postgresql" else nullcontext()


@functools.cache
def _insertion(model: type[Model], alias: str) -> tuple[list[Field], str]:
    """The columns to fill and the statement that fills them."""
    quote = connections[alias].ops.quote_name
    fields = [field for field in model._meta.concrete_fields if not isinstance(field, AutoField | BigAutoField)]
    columns = ", ".join(quote(str(field.column)) for field in fields)
    places = ", ".join(["%s"] * len(fields))
    return fields, f"INSERT INTO {quote(model._meta.db_table)} ({columns}) VALUES ({places})"  # noqa: S608 - our own names


def save(rows: Sequence[Model], names: tuple[str, ...]) -> None:
    """Write the fields called `names` of rows of one model. `bulk_update` costs ten times as much for few rows."""
    if not rows:
        return
    database = connections[connection.alias]
    fields, statement = _change(type(rows[0]), names, database.alias)
    values = [[field.get_db_prep_save(getattr(row, field.attname), database) for field in fields] for row in rows]
    with database.cursor() as cursor:
        _execute(cursor, statement, values)


def _execute(cursor: Any, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    """For each row. One row is the common case, and to psycopg many are some effort."""
    if len(rows) == 1:
        cursor.execute(statement, rows[0])
    else:
        cursor.executemany(statement, rows)


@functools.cache
def _change(model: type[Model], names: tuple[str, ...], alias: str) -> tuple[list[Field], str]:
    """The columns to fill, the key last, and the statement that fills them."""
    quote = connections[alias].ops.quote_name
    found = {field.name: field for field in model._meta.concrete_fields}
    key = next(name for name, field in found.items() if field.primary_key)
    fields = [found[name] for name in (*names, key)]
    *columns, where = [f"{quote(str(field.column))} = %s" for field in fields]
    return fields, f"UPDATE {quote(model._meta.db_table)} SET {', '.join(columns)} WHERE {where}"  # noqa: S608 - our own names


def is_conflict(error: OperationalError) -> bool:
    """Whether the same transaction may well succeed when it is tried again at once."""
    return getattr(error.__cause__, "sqlstate", None) in {SERIALIZATION_FAILURE, DEADLOCK_DETECTED}
