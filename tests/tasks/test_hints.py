"""One contract for all the ways in which a hint travels."""

from __future__ import annotations

import os
import threading
import time

import pytest
from django.db import connection

from tasks import hints
from tasks.hints import Coalesced
from tasks.models import Marker

PATIENCE_S = 10


real = pytest.mark.django_db(transaction=True)


on_postgresql = pytest.param("postgresql", marks=pytest.mark.postgres)
over_redis = pytest.param("redis", marks=[real, pytest.mark.redis])


@pytest.fixture(params=[pytest.param("sqlite", marks=real), on_postgresql, over_redis])
def kind(request, settings):
    """Each way of travelling; its name."""
    if request.param == "postgresql":
        request.getfixturevalue("on_postgres")
    if request.param == "redis":
        settings.REDIS_URL = request.getfixturevalue("redis_server").url
    hints._backend.cache_clear()
    yield request.param
    hints._backend.cache_clear()


@pytest.fixture
def listener(kind):
    with hints.listen() as listener:
        assert listener.wait(PATIENCE_S), "the first wait ends at once: what happened before is unknown"
        while listener.wait(0.1):
            pass
        yield listener


def commit(name: str = "test") -> None:
    """Something changes, and whoever waits is told, as the receivers of the signal do."""
    Marker.objects.update_or_create(name=name)
    hints.send()


def in_thread(work) -> None:
    def run() -> None:
        work()
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def test_a_hint_arrives(listener):
    commit()
    assert listener.wait(PATIENCE_S)


def test_a_hint_from_another_thread_ends_a_wait(listener):
    threading.Timer(0.1, in_thread, [commit]).start()
    assert listener.wait(PATIENCE_S)


@pytest.mark.parametrize("kind", [on_postgresql, over_redis], indirect=True)
def test_who_waits_for_work_hears_of_work_alone(kind):
    """SQLite's counter moves whatever is written."""
    with hints.listen(hints.WORK) as listener:
        assert listener.wait(PATIENCE_S)
        while listener.wait(0.1):
            pass
        commit()
        assert not listener.wait(0.3)
        hints.send(hints.WORK)
        assert listener.wait(PATIENCE_S)


def test_without_a_hint_the_wait_ends_in_time(listener):
    assert not listener.wait(0.05)


def test_many_hints_are_few(listener):
    for _ in range(1000):
        hints.send()
    commit()
    heard = 0
    while listener.wait(0.3):
        heard += 1
    assert 1 <= heard < 50


def test_what_was_sent_before_a_wait_is_not_lost(listener):
    commit("early")
    time.sleep(0.1)
    assert listener.wait(PATIENCE_S)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_sends_too(listener):
    commit()
    assert listener.wait(PATIENCE_S)
    while listener.wait(0.1):
        pass
    if (child := os.fork()) == 0:
        try:
            connection.connection = None  # the parent's
            commit("child")
            time.sleep(1)
        finally:
            os._exit(0)
    assert listener.wait(PATIENCE_S)
    os.waitpid(child, 0)
    commit("parent")
    assert listener.wait(PATIENCE_S)


@pytest.mark.redis
def test_redis_may_go_and_come_back(redis_server, settings, monkeypatch):
    settings.REDIS_URL = redis_server.url
    monkeypatch.setattr(hints, "RETRY_S", 0.05)
    hints._backend.cache_clear()
    with hints.listen() as listener:
        assert listener.wait(PATIENCE_S)
        redis_server.stop()
        hints.send()
        for _ in range(3):
            listener.wait(0.05)
        redis_server.start()
        until(lambda: listener.wait(1))
        until(lambda: not listener.wait(0.2))
        until(lambda: (hints.send(), listener.wait(0.5))[1])
    hints._backend.cache_clear()


def until(condition) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end


def test_sending_never_waits_and_never_raises():
    broken = threading.Event()

    def publish() -> None:
        broken.set()
        raise OSError("away")

    send = Coalesced(publish)
    send()
    assert broken.wait(PATIENCE_S)
    send()


def test_a_slow_publisher_is_asked_once_for_all_that_came_meanwhile():
    started, released, calls = threading.Event(), threading.Event(), []

    def publish() -> None:
        calls.append(None)
        started.set()
        released.wait(PATIENCE_S)

    send = Coalesced(publish, gap_s=0)
    send()
    assert started.wait(PATIENCE_S)
    for _ in range(100):
        send()
    released.set()
    until(lambda: len(calls) == 2)
    send._finish()
    assert len(calls) == 2
