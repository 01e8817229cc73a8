"""The same work for each: tasks that increment one Redis key. A contender enqueues them, then starts its workers."""

from __future__ import annotations

import os

import redis

COUNTER = "benchmark:counter"
REDIS_VARIABLE = "BENCHMARK_REDIS"

_client: redis.Redis | None = None


def increment() -> None:
    """What every task of every contender does."""
    global _client
    if _client is None:
        _client = redis.Redis.from_url(os.environ[REDIS_VARIABLE])
    _client.incr(COUNTER)
