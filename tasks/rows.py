"""Rows past the ORM: read, inserted and saved by statements that are made once, for what the engine does all the time.

Values go to the driver beside the statement, so that PostgreSQL can keep its plan; Django writes them into the text,
which takes longer than the execution.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import operator
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, TypeVar

import msgspec
import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections
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
    JSONField,
    Model,
    UUIDField,
)
from django.db.models.base import ModelState
from psycopg.abc import Loader
from psycopg.types.json import Jsonb

M = TypeVar("M", bound=Model)
Shared = tuple[bool, ...]  # of each column whether some rows have the same value in it

MANY = 8  # rows from which on it pays to look for what they share


# -- reading -------------------------------------------------------------------------------------------------------


def read(model: type[M], cursor: Any) -> list[M]:
    """The rows of `model` that `select` has found, with all columns in the model's order (`columns_of`).

    `objects.raw` takes three times as long.
    """
    names, loads = _loading(model, connection.vendor)
    rows = [_row(model, dict(zip(names, _loaded(row, loads), strict=True))) for row in cursor.fetchall()]
    _are_stored(rows, connection.alias)
    return rows


def look_up(model: type[M], **which: Any) -> M | None:
    """The row that has this value in a unique field, or None. The ORM takes five times as long to say the same."""
    ((name, value),) = which.items()
    database, table = connections[DEFAULT_DB_ALIAS], quoted(model._meta.db_table)
    statement = f"SELECT {columns_of(model)} FROM {table} WHERE {column_of(model, name)} = %s"  # noqa: S608 - our own names
    return next(iter(read(model, select(statement, [driver_value(model, name, value, database)]))), None)


@functools.cache
def columns_of(model: type[Model]) -> str:
    """All columns, in the model's order."""
    return ", ".join(quoted(str(field.column)) for field in model._meta.concrete_fields)


def _loaded(row: Sequence[Any], loads: Sequence[tuple[int, Callable[[Any], Any]]]) -> list[Any]:
    values = list(row)
    for place, load in loads:
        if values[place] is not None:
            values[place] = load(values[place])
    return values


@functools.cache
def _loading(model: type[Model], vendor: str) -> tuple[list[str], list[tuple[int, Callable[[Any], Any]]]]:
    """The names of the model's fields, and what makes its value of the driver's for those where they differ."""
    fields = model._meta.concrete_fields
    loads = [(place, load) for place, field in enumerate(fields) if (load := _load(field, vendor))]
    return [field.attname for field in fields], loads


def _load(field: Field, vendor: str) -> Callable[[Any], Any] | None:
    if isinstance(field, ForeignKey):
        return _load(field.target_field, vendor)
    if isinstance(field, JSONField):
        return msgspec.json.decode
    if vendor == "sqlite" and isinstance(field, UUIDField):
        return uuid.UUID
    if vendor == "sqlite" and isinstance(field, DateTimeField):
        return lambda moment: moment.replace(tzinfo=dt.UTC)
    return None


# -- writing -------------------------------------------------------------------------------------------------------


def new(model: type[M], **values: Any) -> M:
    """A row that is not stored yet, from a value for each of its fields. The model's constructor, which asks every
    field what it makes of it, takes four times as long."""
    return _row(model, values)


def _row(model: type[M], values: dict[str, Any]) -> M:
    row = model.__new__(model)
    row.__dict__ = values
    row._state = ModelState()
    return row


def insert(*batches: Sequence[Model]) -> None:
    """Insert new rows, each batch of one model. `bulk_create` takes five times as long.

    The database gives the ids of rows that have none, in the order of their batch, and nobody here is told them.
    """
    if not any(batches):
        return
    database = connections[DEFAULT_DB_ALIAS]  # looked up once, not for each value
    with one_trip():
        for rows in filter(None, batches):
            columns = _stored(type(rows[0]), database.vendor)
            if database.vendor == "postgresql":
                shared, values = columns.as_document(rows, database)
                execute(_insertion(type(rows[0]), shared), values)
            else:
                execute_each(_insertion(type(rows[0])), [columns.of(row, database) for row in rows])
    _are_stored(chain(*batches), database.alias)


def save(rows: Sequence[Model], names: tuple[str, ...]) -> None:
    """Write the fields called `names` of rows of one model. `bulk_update` costs ten times as much for few rows."""
    if not rows:
        return
    database = connections[DEFAULT_DB_ALIAS]
    columns, statement = _saving(type(rows[0]), names, database.vendor)
    execute_each(statement, [columns.of(row, database) for row in rows])


def _are_stored(rows: Iterable[Model], alias: str) -> None:
    for row in rows:
        row._state.adding, row._state.db = False, alias


# -- statements ----------------------------------------------------------------------------------------------------


@contextmanager
def one_trip() -> Iterator[None]:
    """Within it PostgreSQL's answers are awaited at the end, all together. One within another is a part of it."""
    database = connections[DEFAULT_DB_ALIAS]
    if database.vendor == "postgresql":
        database.ensure_connection()
    if database.vendor != "postgresql" or database.connection.pgconn.pipeline_status:
        yield
        return
    with database.wrap_database_errors, database.connection.pipeline():
        yield


def execute(statement: str, parameters: Sequence[Any] = ()) -> Any:
    """The cursor that holds the answer; within `one_trip` it does afterwards."""
    cursor = _cursor()
    return _run(cursor, cursor.execute, statement, parameters)


def select(statement: str, parameters: Sequence[Any] = ()) -> Any:
    """As `execute`, for an answer with times: Django's way to read one takes ten times as long as the driver's, which
    says the same while the connection speaks UTC."""
    cursor = _cursor()
    if isinstance(cursor, psycopg.Cursor):
        cursor.adapters.register_loader("timestamptz", _times())
    return _run(cursor, cursor.execute, statement, parameters)


def execute_each(statement: str, rows: Sequence[Sequence[Any]]) -> Any:
    """As `execute`, for each row. One row is the common case, and to psycopg many are some effort."""
    if len(rows) == 1:
        return execute(statement, rows[0])
    cursor = _cursor()
    return _run(cursor, cursor.executemany, statement, rows)


def _cursor() -> Any:
    """One that hands values over beside the statement."""
    database = connections[DEFAULT_DB_ALIAS]
    if database.vendor != "postgresql":
        return database.cursor()
    if database.connection is None:
        database.ensure_connection()
    return psycopg.Cursor(database.connection)


def _run(cursor: Any, run: Callable[[str, Any], Any], statement: str, parameters: Sequence[Any]) -> Any:
    """The cursor, which is closed only after an error."""
    try:
        with connections[DEFAULT_DB_ALIAS].wrap_database_errors:
            run(statement, parameters)
    except BaseException:
        cursor.close()
        raise
    return cursor


@functools.cache
def _times() -> type[Loader]:
    loader = psycopg.adapters.get_loader(psycopg.postgres.types["timestamptz"].oid, psycopg.pq.Format.TEXT)
    assert loader
    return loader


# -- values and names ----------------------------------------------------------------------------------------------


class Columns:
    """Fields of one model, in the order of a statement's places."""

    def __init__(self, fields: Sequence[Field], vendor: str) -> None:
        self._columns = [str(field.column) for field in fields]
        self.names = [quoted(column) for column in self._columns]
        self._read = operator.attrgetter(*[field.attname for field in fields])
        self._documents = [place for place, field in enumerate(fields) if isinstance(field, JSONField)]
        prepared = [(place, _preparation(field, vendor)) for place, field in enumerate(fields)]
        self._prepared = [(place, prepare) for place, prepare in prepared if prepare]

    def of(self, row: Model, database: BaseDatabaseWrapper) -> list[Any]:
        """What the driver is to be given for a row."""
        values = list(self._read(row))
        for place, prepare in self._prepared:
            values[place] = prepare(values[place], database)
        return values

    def as_document(self, rows: Sequence[Model], database: BaseDatabaseWrapper) -> tuple[Shared, list[Any]]:
        """Of which columns the value is the same in all rows, and the values: those, and the others as one JSON array
        of objects by column."""
        values = list(zip(*map(self._read, rows), strict=True))
        shared = self._shared(values) if len(rows) >= MANY else (False,) * len(values)
        own = [place for place, is_shared in enumerate(shared) if not is_shared]
        names = [self._columns[place] for place in own]
        document = [dict(zip(names, row, strict=True)) for row in zip(*[values[place] for place in own], strict=True)]
        first = self.of(rows[0], database)
        common = [value for value, is_shared in zip(first, shared, strict=True) if is_shared]
        return shared, [*common, msgspec.json.encode(document).decode()]

    def _shared(self, values: Sequence[Sequence[Any]]) -> Shared:
        """But never the first column, so that something is left."""
        texts = {place: [msgspec.json.encode(value) for value in values[place]] for place in self._documents}
        compared = (texts.get(place, column) for place, column in enumerate(values))  # for 1 == True, and 1 == 1.0
        return tuple(bool(place) and column.count(column[0]) == len(column) for place, column in enumerate(compared))


def driver_value(model: type[Model], name: str, value: Any, database: BaseDatabaseWrapper) -> Any:
    """What the driver is to be given for a value of the field called `name`."""
    prepare = _preparation(_field(model, name), database.vendor)
    return prepare(value, database) if prepare else value


def column_of(model: type[Model], name: str) -> str:
    return quoted(str(_field(model, name).column))


def among(vendor: str) -> str:
    """The condition, after a column's name, that its UUID is in the list that `listed` makes: one place, any length."""
    return "= ANY(%s::uuid[])" if vendor == "postgresql" else "IN (SELECT value FROM json_each(%s))"


def listed(ids: Iterable[uuid.UUID], vendor: str) -> str:
    """As text, which the driver takes as it is. To PostgreSQL it would write a list one by one."""
    hexadecimal = [id.hex for id in ids]
    return f"{{{','.join(hexadecimal)}}}" if vendor == "postgresql" else json.dumps(hexadecimal)


def quoted(name: str) -> str:
    return connection.ops.quote_name(name)


@functools.cache
def _field(model: type[Model], name: str) -> Field:
    field = model._meta.pk if name == "pk" else model._meta.get_field(name)
    assert isinstance(field, Field)
    return field


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
        return lambda value, _: value and _naive(value)
    if isinstance(field, JSONField):
        dump = Jsonb if vendor == "postgresql" else json.dumps
        return lambda value, _: None if value is None else dump(value)
    return field.get_db_prep_save


@functools.lru_cache(maxsize=100)
def _naive(moment: dt.datetime) -> str:
    """As Django writes it for SQLite. The rows of one transaction share their moments."""
    return str(moment.astimezone(dt.UTC).replace(tzinfo=None))


@functools.cache
def _stored(model: type[Model], vendor: str) -> Columns:
    """The columns that a new row fills."""
    return Columns(_given(model), vendor)


@functools.cache
def _insertion(model: type[Model], shared: Shared | None = None) -> str:
    """With what is shared said it takes any number of rows, as `Columns.as_document` gives them.

    That is quicker than COPY up to hundreds of rows, and than a statement for each from the second on.
    """
    fields = _given(model)
    names = [quoted(str(field.column)) for field in fields]
    statement = f"INSERT INTO {quoted(model._meta.db_table)} ({', '.join(names)}) "
    if shared is None:
        return statement + f"VALUES ({', '.join(['%s'] * len(fields))})"
    typed = [(name, field.db_type(connection), same) for name, field, same in zip(names, fields, shared, strict=True)]
    values = ", ".join(f"%s::{type}" if same else name for name, type, same in typed)
    row = ", ".join(f"{name} {type}" for name, type, same in typed if not same)
    return statement + f"SELECT {values} FROM json_to_recordset(%s) AS row ({row})"  # noqa: S608 - our own names


def _given(model: type[Model]) -> list[Field]:
    """The fields of a new row that the database does not give itself."""
    return [field for field in model._meta.concrete_fields if not isinstance(field, AutoField)]


@functools.cache
def _saving(model: type[Model], names: tuple[str, ...], vendor: str) -> tuple[Columns, str]:
    """The columns to fill, the key last, and the statement that fills them."""
    columns = Columns([_field(model, name) for name in (*names, "pk")], vendor)
    *changed, key = [f"{name} = %s" for name in columns.names]
    return columns, f"UPDATE {quoted(model._meta.db_table)} SET {', '.join(changed)} WHERE {key}"  # noqa: S608 - our own names
