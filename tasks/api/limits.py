"""Counting requests a minute, atomically: what two requests at once count, nobody else counts again.

With Redis all processes share one count; on PostgreSQL alone a row of an unlogged table does the same; on SQLite there
is one web process, and its memory will do. While Redis is away each process counts for itself: nobody is turned away.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from dataclasses import dataclass
from typing import Protocol

import redis
from django.conf import settings
from django.db import connection

log = logging.getLogger(__name__)

WINDOW_S = 60  # it begins with the first request


@dataclass(frozen=True, slots=True)
class Rate:
    """Where somebody stands: `count` requests of `limit` in a window that ends in `reset_s` seconds."""

    limit: int
    count: int
    reset_s: int

    @property
    def is_exceeded(self) -> bool:
        return self.count > self.limit

    @property
    def headers(self) -> dict[str, str]:
        """As draft-ietf-httpapi-ratelimit-headers-10 says it."""
        left = max(0, self.limit - self.count)
        return {
            "RateLimit-Policy": f'"requests";q={self.limit};w={WINDOW_S}',
            "RateLimit": f'"requests";r={left};t={self.reset_s}',
        }


class Counter(Protocol):
    def hit(self, key: str) -> tuple[int, float]:
        """Count one request of `key`: how many there are in its window now, and the seconds until that ends."""


def rate_of(key: str, limit: int | None = None) -> Rate:
    """Count one request of `key` (a `Principal.key`, or up to 50 characters of the caller's). Without a limit of the
    caller's it is `TASKHUB_RATE_LIMIT`.
    """
    count, left = _counter().hit(key)
    return Rate(limit or settings.TASKHUB_RATE_LIMIT, count, max(1, round(left)))


@functools.cache
def _counter() -> Counter:
    if settings.REDIS_URL:
        return RedisCounter(settings.REDIS_URL)
    return DatabaseCounter() if connection.vendor == "postgresql" else MemoryCounter()


class MemoryCounter:
    SWEEP_AT = 10_000  # keys

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[int, float]] = {}  # key -> (count, end)

    def hit(self, key: str) -> tuple[int, float]:
        now = time.monotonic()
        with self._lock:
            count, end = self._windows.get(key, (0, 0.0))
            if end <= now:
                self._sweep(now)
                count, end = 0, now + WINDOW_S
            self._windows[key] = count + 1, end
        return count + 1, end - now

    def _sweep(self, now: float) -> None:
        if len(self._windows) >= self.SWEEP_AT:
            self._windows = {key: window for key, window in self._windows.items() if window[1] > now}


class RedisCounter:
    SCRIPT = """
        local count = redis.call('INCR', KEYS[1])
        if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
        return {count, redis.call('PTTL', KEYS[1])}
    """
    PATIENCE_S = 0.5

    def __init__(self, url: str) -> None:
        client = redis.Redis.from_url(
            url, socket_timeout=self.PATIENCE_S, socket_connect_timeout=self.PATIENCE_S, retry=None
        )
        self._script = client.register_script(self.SCRIPT)
        self._memory = MemoryCounter()

    def hit(self, key: str) -> tuple[int, float]:
        try:
            count, left_ms = self._script(keys=[f"taskhub:rate:{key}"], args=[round(WINDOW_S * 1000)])
        except redis.RedisError as error:
            log.warning("Redis is away, so that this process counts requests for itself: %s", error)
            return self._memory.hit(key)
        return count, left_ms / 1000


class DatabaseCounter:
    """PostgreSQL: one statement, and the row's lock puts concurrent requests in a line."""

    STATEMENT = """
        INSERT INTO tasks_ratewindow AS w (key, count, ends_at)
        VALUES (%(key)s, 1, clock_timestamp() + %(window)s * interval '1 second')
        ON CONFLICT (key) DO UPDATE SET
            count = CASE WHEN w.ends_at <= clock_timestamp() THEN 1 ELSE w.count + 1 END,
            ends_at = CASE WHEN w.ends_at <= clock_timestamp() THEN excluded.ends_at ELSE w.ends_at END
        RETURNING count, extract(epoch FROM ends_at - clock_timestamp())
    """

    def hit(self, key: str) -> tuple[int, float]:
        with connection.cursor() as cursor:
            cursor.execute(self.STATEMENT, {"key": key, "window": WINDOW_S})
            count, left = cursor.fetchone()
        return count, float(left)
