"""What the stream costs the workers: their CPU for draining no-op tasks, with the stream on and off, in turns.

On: a web process with a client that follows everything, and a hint from the workers for whatever they write. Off: no
web process and no hints. The log is written in either case: it is the history. CPU is that of all processes of the
cluster, as the kernel counts it, for the last three quarters of the tasks: by then all of them have started.

    python -m benchmarks overhead                     10,000 tasks, 5 rounds
    TASKS=2000 ROUNDS=1 python -m benchmarks overhead
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import redis

from benchmarks.contenders import COUNTER, REDIS_VARIABLE
from benchmarks.drain import follower
from benchmarks.servers import process
from benchmarks.stream import TASKHUB, Place, cpu_of, manage, run, services, web

TASKS, ROUNDS = int(os.environ.get("TASKS", 10_000)), int(os.environ.get("ROUNDS", 5))
LIMIT = 120  # seconds for one drain


def main() -> None:
    print(f"\nCPU of the workers for each of {TASKS:,} no-op tasks, in µs\n")
    with services() as places:
        for name, place in zip(("SQLite", "PostgreSQL, Redis"), places, strict=True):
            rounds = [measure_both(name, place) for _ in range(ROUNDS)]
            off, on = (statistics.median(values) for values in zip(*rounds, strict=True))
            print(f"{name:<20} median: off {off:>6.0f}  on {on:>6.0f}  {on / off - 1:>+6.1%}", flush=True)


def measure_both(name: str, place: Place) -> tuple[float, float]:
    off, on = measure(place, is_on=False), measure(place, is_on=True)
    print(f"{name:<20}         off {off:>6.0f}  on {on:>6.0f}  {on / off - 1:>+6.1%}", flush=True)
    return off, on


def measure(place: Place, is_on: bool) -> float:
    """Microseconds of CPU for each task."""
    client = redis.Redis.from_url(place.environment[REDIS_VARIABLE])
    client.delete(COUNTER)
    run(place.environment, "shell", "-v0", "-c", f"from benchmarks.drain import backlog; backlog({TASKS})")
    with followed(place) if is_on else contextlib.nullcontext():
        environment = place.environment | {"BENCHMARK_STREAM": "on" if is_on else "off"}
        with process(manage("qcluster"), environment) as cluster:
            first, before = _counted(client, TASKS // 4), cpu_of_session(cluster.pid)
            last, after = _counted(client, TASKS), cpu_of_session(cluster.pid)
    return (after - before) / (last - first) * 1e6


@contextlib.contextmanager
def followed(place: Place) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(web("daphne", TASKHUB, place))
        stack.enter_context(follower(str(server.port), place.token))
        yield


def _counted(client: redis.Redis, least: int) -> int:
    end = time.monotonic() + LIMIT
    while (now := int(client.get(COUNTER) or 0)) < least:
        if time.monotonic() > end:
            raise TimeoutError(f"not drained within {LIMIT} s")
        time.sleep(0.002)
    return now


def cpu_of_session(leader: int) -> float:
    """Seconds of CPU of every process in the session."""
    total = 0.0
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if os.getsid(int(entry.name)) == leader:
                total += cpu_of(int(entry.name))
    return total
