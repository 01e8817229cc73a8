"""The same work for each: tasks that increment one Redis key. A contender enqueues them, then starts its workers."""

from __future__ import annotations

import os
import time

import redis

COUNTER = "benchmark:counter"
STAMPS = "benchmark:stamps"
REDIS_VARIABLE = "BENCHMARK_REDIS"

_client: redis.Redis | None = None


def client() -> redis.Redis:
    global _client
    if _client is None:
        _client = redis.Redis.from_url(os.environ[REDIS_VARIABLE])
    return _client


def increment() -> None:
    """What every task of every contender does."""
    client().incr(COUNTER)


def stamp() -> None:
    """Leave the present moment, in seconds since 1970."""
    client().rpush(STAMPS, time.time())
