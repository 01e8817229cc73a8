"""The same work for each: tasks that increment one Redis key. A contender enqueues them, then starts its workers."""

from __future__ import annotations

import os
import time

import redis

COUNTER = "benchmark:counter"
STAMPS = "benchmark:stamps"
REDIS_VARIABLE = "BENCHMARK_REDIS"
EFFECTS_VARIABLE = "BENCHMARK_EFFECTS"

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


def witness(name: str, seconds: float = 0, is_poison: bool = False) -> None:
    """What the tasks of the fault tests do: they write down when they begin and end, in which process."""
    _write("begin", name)
    time.sleep(seconds)
    if is_poison:
        os._exit(9)
    _write("end", name)


def _write(what: str, name: str) -> None:
    with open(os.environ[EFFECTS_VARIABLE], "a") as effects:
        effects.write(f"{what} {name} {os.getpid()} {time.monotonic()}\n")
