"""Hints: "the event log has grown", and "there may be work". `send` says it, `listen` waits for it; neither carries
the news itself.

A hint may be lost, or come for nothing: whoever waits reads the database anyway, and reads it now and then without a
hint too. How it travels depends on what there is: Redis pub/sub; without Redis PostgreSQL's NOTIFY, sent on a
connection of its own so that it never lengthens a writing transaction; on SQLite nothing is sent, since a listener
sees the file's change counter move.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import redis
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

log = logging.getLogger(__name__)

NEWS = "news"  # the log has grown
WORK = "work"  # there may be something to claim, or it is known now when there will be
CHANNEL = {NEWS: "taskhub_hints", WORK: "taskhub_work"}
GAP_S = 0.01  # at most one hint in so long from one process
POLL_S = 0.02  # how often a listener looks at SQLite's counter
RETRY_S = 1.0  # rest after a hint that could not be sent, or a listener that could not connect
EXIT_S = 0.5  # how long a process that ends waits for its last hint to leave


class Listener(Protocol):
    """Waits for hints in one synchronous thread, the one that first calls `wait`."""

    def wait(self, timeout_s: float) -> bool:
        """True as soon as there may be what it listens for, False after `timeout_s` without a hint. Never raises.

        The first call returns True at once, and so does the first one after an outage: nobody knows what was missed.
        """

    def close(self) -> None:
        """Give up the connection. To be called by the thread that waits; leaving a `with` block does it."""

    def __enter__(self) -> Listener: ...

    def __exit__(self, *_: object) -> None: ...


def send(topic: str = NEWS) -> None:
    """Costs a microsecond, from any thread, and never raises; a thread does the talking."""
    _backend().send(topic)


def listen(topic: str = NEWS) -> Listener:
    """A listener for this thread; it connects when it first waits."""
    return _backend().listener(topic)


class Coalesced:
    """Calls `publish` in a thread of its own soon after a request for it, and at most once in `gap_s` seconds.

    A call that fails is logged and forgotten. The thread starts with the first request, in a forked child again.
    """

    def __init__(self, publish: Callable[[], None], gap_s: float = GAP_S) -> None:
        self._publish = publish
        self._gap_s = gap_s
        self._reset()
        os.register_at_fork(after_in_child=self._reset)
        atexit.register(self._finish)

    def __call__(self) -> None:
        if self._requested.is_set():
            return
        self._done.clear()
        self._requested.set()
        if self._thread is None:
            self._start()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._requested, self._done = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # the interpreter is shutting down
                    log.debug("No thread for hints any more.")

    def _run(self) -> None:
        while self._requested.wait():
            self._requested.clear()
            time.sleep(self._gap_s if self._published() else RETRY_S)

    def _published(self) -> bool:
        try:
            self._publish()
        except Exception as error:  # whatever the service is up to: a hint is never worth an exception
            log.warning("A hint could not be sent: %s", error)
            return False
        finally:
            if not self._requested.is_set():
                self._done.set()
        return True

    def _finish(self) -> None:
        if self._thread is not None:
            self._done.wait(EXIT_S)


class Patient:
    """A listener's manners: connect when needed, and after a failure rest instead of raising."""

    _connected = False

    def wait(self, timeout_s: float) -> bool:
        try:
            if self._connected:
                return self._heard(timeout_s)
            self._connect()
        except Exception as error:  # an outage of the service, of whatever kind its driver reports
            log.warning("Waiting without hints: %s", error)
            self.close()
            time.sleep(min(timeout_s, RETRY_S))
            return False
        self._connected = True
        return True

    def close(self) -> None:
        self._connected = False
        self._disconnect()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self) -> None:
        raise NotImplementedError

    def _disconnect(self) -> None:
        raise NotImplementedError

    def _heard(self, timeout_s: float) -> bool:
        raise NotImplementedError


class DatabaseListener(Patient):
    """A database connection of its own, apart from the thread's."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._database: BaseDatabaseWrapper = connections.create_connection(DEFAULT_DB_ALIAS)

    def _connect(self) -> None:
        self._database = connections.create_connection(DEFAULT_DB_ALIAS)
        self._database.ensure_connection()

    def _disconnect(self) -> None:
        self._database.close()

    @property
    def _driver(self) -> Any:
        return self._database.connection


class SqliteListener(DatabaseListener):
    """Watches the counter that SQLite moves whenever another connection has committed, whatever it was that it wrote.

    A look costs microseconds.
    """

    def _connect(self) -> None:
        super()._connect()
        self._seen = self._counter()

    def _heard(self, timeout_s: float) -> bool:
        end = time.monotonic() + timeout_s
        while (now := self._counter()) == self._seen:
            left = end - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(POLL_S, left))
        self._seen = now
        return True

    def _counter(self) -> int:
        return self._driver.execute("PRAGMA data_version").fetchone()[0]


class PostgresListener(DatabaseListener):
    def _connect(self) -> None:
        super()._connect()
        self._driver.execute(f"LISTEN {CHANNEL[self._topic]}")

    def _heard(self, timeout_s: float) -> bool:
        return bool(list(self._driver.notifies(timeout=timeout_s, stop_after=1)))


class RedisListener(Patient):
    _client: redis.Redis | None = None

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def _connect(self) -> None:
        self._client = redis_client()
        self._subscription = self._client.pubsub()
        self._subscription.subscribe(CHANNEL[self._topic])

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()

    def _heard(self, timeout_s: float) -> bool:
        """Redis confirms each subscription, after it came back too: that counts as a hint."""
        if self._subscription.get_message(timeout=timeout_s) is None:
            return False
        while self._subscription.get_message(timeout=0) is not None:
            pass
        return True


class SqliteBackend:
    listener = SqliteListener

    def send(self, topic: str) -> None:
        """The commit itself has moved the counter."""


class PostgresBackend:
    listener = PostgresListener

    def __init__(self) -> None:
        self._notifiers = {topic: Notifier(topic) for topic in CHANNEL}

    def send(self, topic: str) -> None:
        self._notifiers[topic].send()


class Notifier:
    """A topic's thread, and the connection that it talks by."""

    def __init__(self, topic: str) -> None:
        self.send = Coalesced(self._notify)
        self._topic = topic
        self._database: BaseDatabaseWrapper | None = None
        os.register_at_fork(after_in_child=self._forget)

    def _notify(self) -> None:
        if self._database is None:
            self._database = connections.create_connection(DEFAULT_DB_ALIAS)
        try:
            with self._database.cursor() as cursor:
                cursor.execute(f"NOTIFY {CHANNEL[self._topic]}")
        except Exception:
            self._database.close()
            raise

    def _forget(self) -> None:
        """The connection belongs to the parent: a child may neither use nor close it."""
        if self._database is not None:
            self._database.connection = None
        self._database = None


class RedisBackend:
    listener = RedisListener

    def __init__(self) -> None:
        self._client = redis_client()  # it connects when it is used, and again in a forked child
        self._publishers = {topic: Coalesced(partial(self._publish, topic)) for topic in CHANNEL}

    def send(self, topic: str) -> None:
        self._publishers[topic]()

    def _publish(self, topic: str) -> None:
        self._client.publish(CHANNEL[topic], b"")


def redis_client() -> redis.Redis:
    """A client that gives up after a second instead of making its caller wait for a Redis that is away."""
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1, socket_keepalive=True, health_check_interval=15
    )


@functools.cache
def _backend() -> SqliteBackend | PostgresBackend | RedisBackend:
    if settings.REDIS_URL:
        return RedisBackend()
    return PostgresBackend() if connection.vendor == "postgresql" else SqliteBackend()
