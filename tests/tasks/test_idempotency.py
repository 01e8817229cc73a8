"""A request that comes twice is done once: one after the other, at the same time, and over a failure."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from tasks import submit
from tasks.exceptions import KeyReused
from tasks.idempotency import fingerprint, once
from tasks.models import IdempotencyKey, Task
from tasks.submission import build_many, create_all

BODY = {"name": "test.echo", "payload": {"value": "x"}}


def create() -> list[Task]:
    return create_all(build_many([BODY, BODY]), "test")


def request(
    key: str = "k", body: Any = BODY, principal: str = "alice", route: str = "tasks"
) -> tuple[list[Task], bool]:
    return once(principal, route, key, body, create)


@pytest.mark.django_db
def test_the_second_request_gets_the_tasks_of_the_first_in_their_order():
    first, is_first = request()
    again, is_first_again = request()
    assert (is_first, is_first_again) == (True, False)
    assert [task.pk for task in again] == [task.pk for task in first]
    assert Task.objects.count() == 2


@pytest.mark.django_db
def test_another_body_under_the_same_key_is_refused():
    request()
    with pytest.raises(KeyReused):
        request(body=BODY | {"priority": 1})
    assert Task.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize("other", [{"key": "l"}, {"principal": "bob"}, {"route": "bulk"}])
def test_a_key_belongs_to_who_sent_it_and_where(other):
    request()
    assert request(**other)[1]
    assert Task.objects.count() == 4


@pytest.mark.django_db
def test_a_request_that_failed_leaves_no_key():
    def broken() -> list[Task]:
        create()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        once("alice", "tasks", "k", BODY, broken)
    assert not Task.objects.exists()
    assert request()[1]


@pytest.mark.django_db
@pytest.mark.parametrize(("hours", "is_first"), [(23, False), (25, True)])
def test_a_key_is_kept_for_a_day(hours, is_first):
    request()
    IdempotencyKey.objects.update(created_at=IdempotencyKey.objects.get().created_at - dt.timedelta(hours=hours))
    assert request()[1] is is_first


@pytest.mark.django_db
def test_python_has_keys_too():
    first = submit("test.echo", {"value": "x"}, idempotency_key="2026-11")
    assert submit("test.echo", {"value": "x"}, idempotency_key="2026-11").pk == first.pk
    with pytest.raises(KeyReused):
        submit("test.echo", {"value": "y"}, idempotency_key="2026-11")


@pytest.mark.usefixtures("every_database")
def test_of_many_at_the_same_time_one_creates_and_all_get_its_tasks():
    requests = 8
    start = threading.Barrier(requests)
    outcomes = in_threads(requests, lambda: (start.wait(30), request())[1])
    assert sorted(is_first for _, is_first in outcomes) == [False] * (requests - 1) + [True]
    assert len({tuple(task.pk for task in tasks) for tasks, _ in outcomes}) == 1
    assert Task.objects.count() == 2


@pytest.mark.usefixtures("every_database")
def test_one_that_waits_for_a_first_that_fails_becomes_the_first():
    entered, release = threading.Event(), threading.Event()

    def fails_late() -> list[Task]:
        create()
        entered.set()
        release.wait(30)
        raise ZeroDivisionError

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(closing, lambda: once("alice", "tasks", "k", BODY, fails_late))
        assert entered.wait(30)
        second = threads.submit(closing, request)
        release.set()
        assert isinstance(first.exception(30), ZeroDivisionError)
        assert second.result(30)[1]
    assert Task.objects.count() == 2


def in_threads(number: int, work: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(number) as threads:
        return [future.result(60) for future in [threads.submit(closing, work) for _ in range(number)]]


def closing(work: Callable[[], Any]) -> Any:
    """A thread leaves no connection behind."""
    try:
        return work()
    finally:
        connection.close()


json = st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))


@given(json, json)
def test_equal_bodies_have_equal_fingerprints_and_others_have_not(one, other):
    assert (fingerprint(one) == fingerprint(other)) == (one == other)


def test_the_order_of_keys_says_nothing():
    assert fingerprint({"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint({"b": {"d": 3, "c": 2}, "a": 1})
