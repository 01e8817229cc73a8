"""What progress costs: a handler that reports 1,000 times a second, beside the same one that says nothing.

Each run computes for some seconds in small pieces; with progress it calls `ctx.progress` after each millisecond. In a
hub of real processes, in turns; the ratio of the work done is printed, and how many events a second came of it.

    python -m benchmarks progress              5 s a run, 3 rounds, SQLite and PostgreSQL
    SECONDS=2 ROUNDS=1 python -m benchmarks progress
"""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.servers import postgres_server, redis_server
from tests.hub import Hub

SECONDS, ROUNDS = float(os.environ.get("SECONDS", 5)), int(os.environ.get("ROUNDS", 3))
LAST = "the last word"


def main() -> None:
    print(f"\nA handler that computes for {SECONDS:g} s, median of {ROUNDS}\n")
    print(f"{'':<18} {'pieces/s':>9} {'with progress':>14} {'ratio':>7} {'calls/s':>8} {'events/s':>9}")
    measure("SQLite")
    with redis_server() as redis_url, postgres_server() as postgres_url:
        measure("PostgreSQL, Redis", DATABASE_URL=postgres_url, REDIS_URL=redis_url)


def measure(label: str, **environment: str) -> None:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as home:
        hub = Hub(Path(home), TASKHUB_APPS="benchmarks.contenders", **environment)
        hub.start()
        try:
            rounds = [(run(hub, False), run(hub, True)) for _ in range(ROUNDS)]
        finally:
            hub.stop()
    without = statistics.median(silent["pieces"] for silent, _ in rounds) / SECONDS
    reporting = statistics.median(said["pieces"] for _, said in rounds) / SECONDS
    events = max(said["events"] for _, said in rounds) / SECONDS
    calls = statistics.median(said["calls"] for _, said in rounds) / SECONDS
    print(
        f"{label:<18} {without:>9,.0f} {reporting:>14,.0f} {reporting / without:>7.3f} {calls:>8,.0f} {events:>9.1f}",
        flush=True,
    )


def run(hub: Hub, reports: bool) -> dict[str, int]:
    task = hub.submit(name="benchmark.compute", payload={"seconds": SECONDS, "reports": reports})
    done = hub.reaches(task["id"], "completed")
    if reports and done["progress"]["message"] != LAST:
        raise RuntimeError(f"the last progress was lost: {done['progress']}")
    written = done["version"] - 3  # created, claimed, completed
    return done["result"] | {"events": written}
