"""The database's clock, ids in order of time, and transactions that are tried again."""

from __future__ import annotations

import datetime as dt
import fcntl
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import IntegrityError, OperationalError, connection, connections, transaction

from tasks import database
from tasks.database import database_now, transactional, uuid7
from tasks.models import Queue


def conflict(sqlstate: str) -> OperationalError:
    """What Django raises when PostgreSQL picks a transaction as a victim."""
    cause = Exception()
    cause.sqlstate = sqlstate  # type: ignore[attr-defined]
    error = OperationalError("deadlock detected")
    error.__cause__ = cause
    return error


def test_ids_sort_by_their_time_of_creation():
    ids = [uuid7() for _ in range(1000)]
    assert ids == sorted(ids)
    assert {id.version for id in ids} == {7}


def test_the_least_id_of_a_moment_bounds_what_was_made_then():
    before, id, after = dt.datetime.now(dt.UTC), uuid7(), dt.datetime.now(dt.UTC) + dt.timedelta(milliseconds=1)
    assert database.least_id(before) <= id < database.least_id(after)
    assert database.least_id(dt.datetime(1960, 1, 1, tzinfo=dt.UTC)).int == 0


@pytest.mark.usefixtures("every_database")
def test_the_clock_is_aware_in_utc_and_goes_on_within_a_transaction():
    with transaction.atomic():
        first, second = database_now(), database_now()
    assert first.utcoffset() == dt.timedelta(0)
    assert first < second


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("sqlstate", [database.DEADLOCK_DETECTED, database.SERIALIZATION_FAILURE])
def test_a_victim_is_tried_again_from_its_start(sqlstate):
    tries = []

    @transactional
    def write() -> int:
        Queue.objects.create(name=f"q{len(tries)}")
        tries.append(1)
        if len(tries) < 3:
            raise conflict(sqlstate)
        return len(tries)

    assert write() == 3
    assert [queue.name for queue in Queue.objects.all()] == ["q2"]


@pytest.mark.django_db(transaction=True)
def test_it_is_not_tried_for_ever():
    tries = []

    @transactional
    def write() -> None:
        tries.append(1)
        raise conflict(database.DEADLOCK_DETECTED)

    with pytest.raises(OperationalError):
        write()
    assert len(tries) == database.TRIES


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [conflict("57014"), OperationalError("locked"), IntegrityError("x"), ValueError("x")])
def test_any_other_error_is_the_callers_at_once(error):
    tries = []

    @transactional
    def write() -> None:
        tries.append(1)
        raise error

    with pytest.raises(type(error)):
        write()
    assert tries == [1]


@pytest.mark.django_db(transaction=True)
def test_within_the_callers_transaction_a_victim_is_the_callers():
    tries = []

    @transactional
    def write() -> None:
        tries.append(1)
        raise conflict(database.DEADLOCK_DETECTED)

    with pytest.raises(OperationalError), transaction.atomic():
        write()
    assert tries == [1]


@pytest.mark.postgres
@pytest.mark.usefixtures("on_postgres")
def test_two_that_lock_in_a_circle_both_succeed():
    Queue.objects.bulk_create([Queue(name="a"), Queue(name="b")])
    meeting = threading.Barrier(2)
    first = threading.local()

    @transactional
    def lock(one: str, other: str) -> None:
        Queue.objects.select_for_update().get(name=one)
        if not hasattr(first, "done"):
            first.done = True
            meeting.wait(20)
        Queue.objects.select_for_update().get(name=other)

    def closing(*names: str) -> None:
        try:
            lock(*names)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        for future in [threads.submit(closing, "a", "b"), threads.submit(closing, "b", "a")]:
            future.result(60)


def test_writers_of_sqlite_line_up_and_nobody_waits_for_one_that_froze(tmp_path):
    with open(tmp_path / "turn", "ab") as first, open(tmp_path / "turn", "ab") as second:
        database._stand_in_line(first)
        database._stand_in_line(second)  # the first never leaves
        with pytest.raises(BlockingIOError):
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        first.close()
        database._stand_in_line(second)
        with open(tmp_path / "turn", "ab") as third, pytest.raises(BlockingIOError):
            fcntl.flock(third, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.django_db(transaction=True)
def test_without_a_file_to_line_up_at_it_is_written_all_the_same(monkeypatch):
    refused = []

    def refuse(*args: str) -> None:
        refused.append(args)
        raise OSError("no space left on device")

    monkeypatch.setattr(type(connection), "is_in_memory_db", lambda self: False, raising=False)
    monkeypatch.setattr(database, "open", refuse, raising=False)
    transactional(Queue.objects.create)(name="a")
    assert (Queue.objects.count(), len(refused)) == (1, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL ends what a closed connection has begun")
def test_a_connection_that_is_hung_up_leaves_no_lock_though_a_cursor_of_it_is_left():
    mine, other = connections.create_connection("default"), connections.create_connection("default")
    mine.cursor().execute("BEGIN IMMEDIATE")
    left = mine.cursor()
    left.execute("SELECT name FROM sqlite_master")
    database.hang_up(mine)
    other.cursor().execute("PRAGMA busy_timeout = 0")
    other.cursor().execute("BEGIN IMMEDIATE")
    other.close()
    del left
