"""How soon an idle queue takes up a task: from the commit of its submission to the first line of its handler.

Embedded (SQLite, no Redis), PostgreSQL without Redis, and PostgreSQL with Redis; each a hub as users run it, with one
task at a time, submitted from Python. Both moments are of the machine's clock.

    python -m benchmarks pickup             100 tasks each
    TASKS=20 python -m benchmarks pickup
"""

from __future__ import annotations

import os
import statistics

import redis

from benchmarks.contenders import REDIS_VARIABLE, STAMPS
from benchmarks.drain import hub, manage
from benchmarks.servers import postgres_server, redis_server

TASKS = int(os.environ.get("TASKS", 100))
PAUSE = 0.1  # seconds after a task has run: the queue is to be idle
PATIENCE = 120  # seconds; the first task waits until the hub has started


def main() -> None:
    with redis_server() as redis_url, postgres_server() as postgres_url:
        report(
            {
                "SQLite": measure(redis_url, "", ""),
                "PostgreSQL": measure(redis_url, postgres_url, ""),
                "PostgreSQL, Redis": measure(redis_url, postgres_url, redis_url),
            }
        )


def measure(stamps_url: str, database_url: str, redis_url: str) -> list[float]:
    """Milliseconds, one figure for each task."""
    redis.Redis.from_url(stamps_url).flushall()
    with hub({REDIS_VARIABLE: stamps_url, "DATABASE_URL": database_url, "REDIS_URL": redis_url}) as environment:
        waits = manage(
            environment, "shell", "-v0", "-c", f"from benchmarks.pickup import submit_each; submit_each({TASKS})"
        )
    return [float(wait) for wait in waits.split()]


def submit_each(number: int) -> None:
    """In the process of a `manage.py shell`: print for each task the milliseconds that it waited."""
    import time

    from tasks import submit

    stamps = redis.Redis.from_url(os.environ[REDIS_VARIABLE])
    for first in [True, *[False] * number]:
        submit("benchmark.stamp")
        committed = time.time()
        stamp = stamps.blpop([STAMPS], timeout=PATIENCE)
        assert stamp, f"no handler began within {PATIENCE} s"
        if not first:
            print((float(stamp[1]) - committed) * 1000)
        time.sleep(PAUSE)


def report(taken: dict[str, list[float]]) -> None:
    print(f"\nFrom commit to handler on an idle queue, {TASKS} tasks, in milliseconds\n")
    print(f"{'':<18} {'median':>8} {'p99':>8} {'highest':>8}")
    for name, values in taken.items():
        p99 = statistics.quantiles(values, n=100, method="inclusive")[98]
        print(f"{name:<18} {statistics.median(values):>8.1f} {p99:>8.1f} {max(values):>8.1f}")
