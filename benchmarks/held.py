"""What a transaction that is left open costs: draining a backlog on PostgreSQL beside one, and without, in turns.

As long as it is open, PostgreSQL keeps every dead row version, which each claim then has to step over.

    python -m benchmarks held                         10,000 tasks, 3 rounds
    TASKS=2000 ROUNDS=1 python -m benchmarks held
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator

import psycopg

from benchmarks.drain import ROUNDS, TASKS, measure, taskhub
from benchmarks.servers import postgres_server, redis_server


def main() -> None:
    rates: dict[bool, list[float]] = {False: [], True: []}
    with redis_server() as redis_url, postgres_server() as url:
        for number in range(ROUNDS):
            for is_held in rates:
                with held(url) if is_held else contextlib.nullcontext():
                    rates[is_held].append(measure(taskhub(url), redis_url))
            print(
                f"round {number + 1}  free {rates[False][-1]:>7,.0f}  held {rates[True][-1]:>7,.0f} tasks/s", flush=True
            )
    free, beside = (statistics.median(values) for values in rates.values())
    print(f"\n{TASKS:,} tasks, median of {ROUNDS}: free {free:,.0f}, held {beside:,.0f} tasks/s, {beside / free:.0%}")


@contextlib.contextmanager
def held(url: str) -> Iterator[None]:
    with psycopg.connect(url) as connection:
        connection.execute("SELECT txid_current()")
        yield
