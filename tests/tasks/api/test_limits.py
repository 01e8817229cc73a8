"""Rates are counted atomically, and whoever asks too often is told when to come again."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, connections
from django.test import Client

from tasks import access
from tasks.api import limits
from tasks.api.limits import DatabaseCounter, MemoryCounter, RedisCounter
from tasks.database import uuid7
from tests.tasks.api.conftest import assert_problem


@pytest.fixture
def memory(monkeypatch):
    counter = MemoryCounter()
    monkeypatch.setattr(limits, "_counter", lambda: counter)
    return counter


def test_each_answer_says_what_is_left(submitter, memory, settings):
    settings.TASKHUB_RATE_LIMIT = 10
    response = submitter.get("/tasks")
    assert response["RateLimit-Policy"] == '"requests";q=10;w=60'
    assert response["RateLimit"] == '"requests";r=9;t=60'


def test_too_many(submitter, memory, settings, api):
    settings.TASKHUB_RATE_LIMIT = 2
    assert [submitter.get("/tasks").status_code for _ in range(3)] == [200, 200, 429]
    refused = submitter.post("/tasks", {"name": "test.echo"})
    assert_problem(refused, 429)
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert refused["RateLimit"].startswith('"requests";r=0;t=')
    assert api("sam").get("/tasks").status_code == 200  # another token of the same user counts for itself


def test_health_is_not_counted(anonymous, memory, settings):
    settings.TASKHUB_RATE_LIMIT = 1
    assert [anonymous.get("/healthz").status_code for _ in range(3)] == [200] * 3


def hits(counter, times, threads=20):
    """What `times` concurrent hits of one key were told, in order of the counts."""
    key, ready = str(uuid7()), threading.Barrier(threads)

    def some(_):
        ready.wait()
        try:
            return [counter.hit(key)[0] for _ in range(times // threads)]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(threads) as pool:
        return sorted(count for counts in pool.map(some, range(threads)) for count in counts)


def test_of_two_hundred_requests_at_once_the_limit_gets_through(every_database, settings):
    settings.TASKHUB_RATE_LIMIT = 100
    limits._counter.cache_clear()
    token = access.make_token(get_user_model().objects.create_superuser("root"), {"read"})[1]
    access.token_principal(token)
    ready = threading.Barrier(10)

    def some(_):
        client = Client(headers={"Authorization": f"Bearer {token}"})
        ready.wait()
        try:
            return [client.get("/api/v1/queues").status_code for _ in range(20)]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(10) as pool:
        answers = sorted(status for statuses in pool.map(some, range(10)) for status in statuses)
    limits._counter.cache_clear()
    assert answers == [200] * 100 + [429] * 100


def test_memory_counts_each_request_once():
    assert hits(MemoryCounter(), 200) == list(range(1, 201))


@pytest.mark.redis
def test_redis_counts_each_request_once(redis_server):
    assert hits(RedisCounter(redis_server.url), 200) == list(range(1, 201))


@pytest.mark.redis
def test_redis_forgets_after_the_window(redis_server, monkeypatch):
    monkeypatch.setattr(limits, "WINDOW_S", 0.05)
    counter, key = RedisCounter(redis_server.url), str(uuid7())
    assert counter.hit(key)[0] == 1
    later = (counter.hit(key)[0] for _ in range(100_000))
    assert next(count for count in later if count == 1) == 1  # it has begun anew


def test_without_redis_the_process_counts_for_itself():
    counter, key = RedisCounter("redis://127.0.0.1:1/0"), str(uuid7())
    assert [counter.hit(key)[0] for _ in range(3)] == [1, 2, 3]


def test_a_window_ends(monkeypatch):
    counter, now = MemoryCounter(), [100.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    assert counter.hit("a") == (1, 60)
    now[0] += 59
    assert counter.hit("a") == (2, 1)
    now[0] += 1
    assert counter.hit("a") == (1, 60)


def test_memory_does_not_grow_for_ever(monkeypatch):
    counter, now = MemoryCounter(), [100.0]
    monkeypatch.setattr(limits.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(MemoryCounter, "SWEEP_AT", 3)
    for key in "abc":
        counter.hit(key)
    now[0] += 61
    counter.hit("d")
    assert list(counter._windows) == ["d"]


@pytest.mark.postgres
def test_postgresql_counts_each_request_once_and_begins_anew(on_postgres):
    assert hits(DatabaseCounter(), 40, threads=4) == list(range(1, 41))
    counter = DatabaseCounter()
    assert counter.hit("a")[0] == 1
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tasks_ratewindow SET ends_at = clock_timestamp()")
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'tasks_ratewindow'")
        assert cursor.fetchone() == ("u",)
    count, left = counter.hit("a")
    assert (count, round(left)) == (1, 60)
