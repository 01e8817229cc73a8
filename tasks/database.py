"""What we ask of the database beyond the ORM: its clock, ids in order of time, transactions that are tried again."""

from __future__ import annotations

import datetime as dt
import functools
import json
import operator
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain
from typing import Any, ParamSpec, TypeVar

import psycopg
import uuid_utils.compat
from django.db import OperationalError, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import (
    AutoField,
    BooleanField,
    CharField,
    DateTimeField,
    Field,
    FloatField,
    ForeignKey,
    IntegerField,
    Model,
    UUIDField,
)

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=Model)

TRIES = 8
SERIALIZATION_FAILURE, DEADLOCK_DETECTED = "40001", "40P01"


def uuid7() -> uuid.UUID:
    """A new id that sorts by its time of creation (RFC 9562, version 7)."""
    return uuid_utils.compat.uuid7()


def least_id(moment: dt.datetime) -> uuid.UUID:
    """The least id that a UUIDv7 of that moment can have: so ids answer questions about the time of creation."""
    milliseconds = min(max(0, int(moment.timestamp() * 1000)), 2**48 - 1)
    return uuid.UUID(int=milliseconds << 80)


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

    `bulk_create` costs five times as much for each, which the engine would feel. The database gives the ids of rows
    that have none, and nobody here is told them.
    """
    if not any(batches):
        return
    database = connections[connection.alias]  # looked up once, not for each value
    with cursor_for_rows(database) as cursor, _one_trip(database):
        for rows in filter(None, batches):
            columns, statement = _insertion(type(rows[0]), database.vendor)
            execute_each(cursor, statement, [columns.of(row, database) for row in rows])
    for row in chain(*batches):
        row._state.adding, row._state.db = False, database.alias


def _one_trip(database: Any) -> AbstractContextManager:
    """Within it PostgreSQL's answers are awaited at the end, all together."""
    return database.connection.pipeline() if database.vendor == "postgresql" else nullcontext()


def save(rows: Sequence[Model], names: tuple[str, ...]) -> None:
    """Write the fields called `names` of rows of one model. `bulk_update` costs ten times as much for few rows."""
    if not rows:
        return
    database = connections[connection.alias]
    columns, statement = _saving(type(rows[0]), names, database.vendor)
    with cursor_for_rows(database) as cursor:
        execute_each(cursor, statement, [columns.of(row, database) for row in rows])


@contextmanager
def cursor_for_rows(database: BaseDatabaseWrapper) -> Iterator[Any]:
    """A cursor that hands values over beside the statement, so that PostgreSQL can keep its plan.

    Django's own writes them into the text, which takes longer than the execution.
    """
    if database.vendor != "postgresql":
        with database.cursor() as cursor:
            yield cursor
        return
    database.ensure_connection()
    with database.wrap_database_errors, psycopg.Cursor(database.connection) as cursor:
        yield cursor


def execute_each(cursor: Any, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    """For each row. One row is the common case, and to psycopg many are some effort."""
    if len(rows) == 1:
        cursor.execute(statement, rows[0])
    else:
        cursor.executemany(statement, rows)


class Columns:
    """Fields of one model, in the order of a statement's places."""

    def __init__(self, fields: Sequence[Field], vendor: str) -> None:
        self.names = [quoted(str(field.column)) for field in fields]
        self._read = operator.attrgetter(*[field.attname for field in fields])
        prepared = [(place, _preparation(field, vendor)) for place, field in enumerate(fields)]
        self._prepared = [(place, prepare) for place, prepare in prepared if prepare]

    def of(self, row: Model, database: BaseDatabaseWrapper) -> list[Any]:
        """What the driver is to be given for a row."""
        values = list(self._read(row))
        for place, prepare in self._prepared:
            values[place] = prepare(values[place], database)
        return values


def driver_value(model: type[Model], name: str, value: Any, database: BaseDatabaseWrapper) -> Any:
    """What the driver is to be given for a value of the field called `name`."""
    prepare = _preparation(_field(model, name), database.vendor)
    return prepare(value, database) if prepare else value


def column_of(model: type[Model], name: str) -> str:
    return str(_field(model, name).column)


@functools.cache
def _field(model: type[Model], name: str) -> Field:
    field = model._meta.pk if name == "pk" else model._meta.get_field(name)
    assert isinstance(field, Field)
    return field


def among(vendor: str) -> str:
    """The condition, after a column's name, that its UUID is in the list that `listed` makes: one place, any length."""
    return "= ANY(%s)" if vendor == "postgresql" else "IN (SELECT value FROM json_each(%s))"


def listed(ids: Iterable[uuid.UUID], vendor: str) -> Any:
    return list(ids) if vendor == "postgresql" else json.dumps([id.hex for id in ids])


def quoted(name: str) -> str:
    return connection.ops.quote_name(name)


@functools.cache
def _preparation(field: Field, vendor: str) -> Callable[[Any, BaseDatabaseWrapper], Any] | None:
    """From a field's value to the driver's, None where they are the same. Django would ask several layers for each."""
    if isinstance(field, ForeignKey):
        return _preparation(field.target_field, vendor)
    if isinstance(field, CharField | IntegerField | FloatField | BooleanField):
        return None
    if vendor == "postgresql" and isinstance(field, UUIDField | DateTimeField):
        return None
    if isinstance(field, UUIDField):
        return lambda value, _: value and value.hex
    if isinstance(field, DateTimeField):
        return lambda value, database: database.ops.adapt_datetimefield_value(value)
    return field.get_db_prep_save


@functools.cache
def _insertion(model: type[Model], vendor: str) -> tuple[Columns, str]:
    """The columns to fill and the statement that fills them."""
    columns = Columns([field for field in model._meta.concrete_fields if not isinstance(field, AutoField)], vendor)
    places = ", ".join(["%s"] * len(columns.names))
    statement = f"INSERT INTO {quoted(model._meta.db_table)} ({', '.join(columns.names)}) VALUES ({places})"  # noqa: S608 - our own names
    return columns, statement


@functools.cache
def _saving(model: type[Model], names: tuple[str, ...], vendor: str) -> tuple[Columns, str]:
    """The columns to fill, the key last, and the statement that fills them."""
    columns = Columns([_field(model, name) for name in (*names, "pk")], vendor)
    *changed, key = [f"{name} = %s" for name in columns.names]
    return columns, f"UPDATE {quoted(model._meta.db_table)} SET {', '.join(changed)} WHERE {key}"  # noqa: S608 - our own names


def is_conflict(error: OperationalError) -> bool:
    """Whether the same transaction may well succeed when it is tried again at once."""
    return getattr(error.__cause__, "sqlstate", None) in {SERIALIZATION_FAILURE, DEADLOCK_DETECTED}
