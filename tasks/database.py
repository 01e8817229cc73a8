"""What we ask of the database beyond the ORM: its clock, ids in order of time, transactions that are tried again."""

from __future__ import annotations

import datetime as dt
import fcntl
import functools
import random
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import IO, ParamSpec, TypeVar

import uuid_utils.compat
from django.db import OperationalError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

P = ParamSpec("P")
R = TypeVar("R")

TRIES = 8
SERIALIZATION_FAILURE, DEADLOCK_DETECTED = "40001", "40P01"
TURN_S, LOOK_S = 0.2, 0.0005  # how long a writer of SQLite's stands in line, and how often it looks


def uuid7() -> uuid.UUID:
    """A new id that sorts by its time of creation (RFC 9562, version 7)."""
    return uuid_utils.compat.uuid7()


def least_id(moment: dt.datetime) -> uuid.UUID:
    """The least id that a UUIDv7 of that moment can have: so ids answer questions about the time of creation."""
    milliseconds = min(max(0, int(moment.timestamp() * 1000)), 2**48 - 1)
    return uuid.UUID(int=milliseconds << 80)


def database_now() -> dt.datetime:
    """The database's clock, aware, in UTC: the one clock that leases, deadlines and `run_at` are measured by."""
    return asked_now()()


def asked_now() -> Callable[[], dt.datetime]:
    """Asks the database's clock as a part of `rows.one_trip`; after it, what this has returned tells what it showed."""
    if connection.vendor == "sqlite":  # the database is this process, so its clock is ours
        return partial(dt.datetime.now, dt.UTC)
    answer = connection.cursor()
    answer.execute("SELECT clock_timestamp()")
    return lambda: answer.fetchone()[0].astimezone(dt.UTC)


def transactional(write: Callable[P, R], savepoint: bool = True) -> Callable[P, R]:
    """Run `write` in a transaction, again from its start when the database chose it as a deadlock's victim.

    Inside a transaction of the caller's it joins that one, and a deadlock is the caller's to handle. With a savepoint
    the caller's may go on when `write` has raised.
    """

    @functools.wraps(write)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if connection.in_atomic_block:
            with transaction.atomic(savepoint=savepoint):
                return write(*args, **kwargs)
        for left in reversed(range(TRIES)):
            try:
                with _turn(), transaction.atomic():
                    return write(*args, **kwargs)
            except OperationalError as error:
                if not (left and is_conflict(error)):
                    raise
                time.sleep(random.uniform(0, 0.05))  # noqa: S311 - so that two victims don't meet again
        raise AssertionError("unreachable")

    return run


def hang_up(database: BaseDatabaseWrapper) -> None:
    """Close a connection about which nothing is known any more; the next use opens another one.

    SQLite keeps one, with its lock, as long as a cursor of it is left, in a traceback say: so what is open is ended
    first.
    """
    if database.vendor == "sqlite" and database.connection:
        with suppress(Exception):
            database.connection.rollback()
    database.close()


joining = functools.partial(transactional, savepoint=False)  # for the engine, whose transactions succeed as a whole


def is_conflict(error: OperationalError) -> bool:
    """Whether the same transaction may well succeed when it is tried again at once."""
    return getattr(error.__cause__, "sqlstate", None) in {SERIALIZATION_FAILURE, DEADLOCK_DETECTED}


@contextmanager
def _turn() -> Iterator[None]:
    """Writers of SQLite's stand in line at a file beside the database. At its own lock they would sleep, for longer and
    longer, while nobody holds it.

    The kernel frees the file of whoever dies. Nothing depends on it: who is not served soon, or finds no file to stand
    at (on a full disk, say), goes on to the lock itself.
    """
    with ExitStack() as held:
        if connection.vendor == "sqlite" and not connection.is_in_memory_db():  # type: ignore[attr-defined]
            with suppress(OSError):
                _stand_in_line(held.enter_context(open(f"{connection.settings_dict['NAME']}-turn", "ab")))
        yield


def _stand_in_line(file: IO[bytes]) -> None:
    end = time.monotonic() + TURN_S
    while time.monotonic() < end:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(LOOK_S)
