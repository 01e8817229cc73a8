"""How long a change takes to reach an open page: callback tasks to a real receiver, watched by one stream client.

Embedded (SQLite, no Redis), one task at a time. The time runs from the moment that the event carries, which lies just
before its commit, to the arrival of its frame; client and hub share the machine's clock.

    python -m benchmarks live             100 tasks
    TASKS=20 python -m benchmarks live
"""

from __future__ import annotations

import datetime as dt
import os
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from tests.hub import Hub, frames
from tests.receiver import Receiver

TASKS = int(os.environ.get("TASKS", 100))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as home:
        hub = Hub(Path(home))
        hub.start()
        try:
            report(measure(hub, Receiver((Path(home) / "callback_secret").read_text().strip())))
        finally:
            hub.stop()


def measure(hub: Hub, receiver: Receiver) -> dict[str, list[float]]:
    """Milliseconds by the status that was reached."""
    taken: defaultdict[str, list[float]] = defaultdict(list)
    with receiver.listening() as url, hub.stream() as socket:
        for _ in range(TASKS):
            task = hub.submit(callback_url=url, payload={})
            frames(socket, task["id"], "completed", lambda frame: taken[frame["status"]].append(_age(frame)))
    assert len(receiver.verified) == TASKS
    return taken


def _age(frame: dict[str, str]) -> float:
    return (time.time() - dt.datetime.fromisoformat(frame["timestamp"]).timestamp()) * 1000


def report(taken: dict[str, list[float]]) -> None:
    print(f"\nFrom commit to client, {TASKS} callback tasks, in milliseconds\n")
    print(f"{'':<12} {'median':>8} {'p99':>8} {'highest':>8}")
    for status, values in taken.items():
        p99 = statistics.quantiles(values, n=100, method="inclusive")[98]
        print(f"{status:<12} {statistics.median(values):>8.1f} {p99:>8.1f} {max(values):>8.1f}")
