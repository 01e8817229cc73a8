"""1,000 pipelines of 5 steps at once, while `kill -9` meets a random worker every 5 seconds: all must complete.

Each step hands its result to the next. A client of the stream counts: every pipeline has to complete once and every
step of it once. The time runs from the first submission to the last PipelineCompleteEvent, two worker processes; on
SQLite, and on PostgreSQL with Redis.

    python -m benchmarks pipelines               1,000 pipelines, a kill every 5 s
    PIPELINES=100 KILL_EVERY=0 python -m benchmarks pipelines
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.servers import postgres_server, redis_server
from tests.hub import ROOT, Hub

PIPELINES, KILL_EVERY = int(os.environ.get("PIPELINES", 1000)), float(os.environ.get("KILL_EVERY", 5))
STEPS = 5
LIMIT = 300  # seconds without any event
COUNTED = ["StepCompleteEvent", "StepErrorEvent", "PipelineCompleteEvent", "PipelineErrorEvent"]


def main() -> None:
    print(f"\n{PIPELINES:,} pipelines of {STEPS} steps, 2 worker processes, a kill every {KILL_EVERY:g} s\n")
    print(f"{'':<18} {'seconds':>8} {'steps/s':>8} {'kills':>6}")
    measure("SQLite")
    with redis_server() as redis_url, postgres_server() as postgres_url:
        measure("PostgreSQL, Redis", DATABASE_URL=postgres_url, REDIS_URL=redis_url)


def measure(label: str, **environment: str) -> None:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as home:
        hub = Hub(Path(home), TASKHUB_RATE_LIMIT="2000000000", **environment)
        hub.start()
        try:
            with killing(hub) as killed:
                took = run(hub)
        finally:
            hub.stop()
    print(f"{label:<18} {took:>8.1f} {PIPELINES * STEPS / took:>8,.0f} {len(killed):>6}", flush=True)


def run(hub: Hub) -> float:
    """Seconds until all were complete. Raises when one was told of twice, or failed."""
    seen: Counter[tuple[str, ...]] = Counter()
    with hub.stream("/api/v1/stream") as socket:
        socket.send(json.dumps({"type": "subscribe", "pipeline_id": "*", "events": COUNTED, "batch": True}))
        began = time.monotonic()
        with submitting(hub):
            while seen["PipelineCompleteEvent",] < PIPELINES:
                frame = json.loads(socket.recv(LIMIT))
                for event in frame.get("events", [frame]):
                    count(seen, event)
        took = time.monotonic() - began
    by_status = hub.request("GET", "/api/v1/queue/status")[1]["by_status"]
    steps = {key: n for key, n in seen.items() if len(key) == 2}
    if len(steps) != PIPELINES * STEPS or set(steps.values()) != {1} or by_status["completed"] != PIPELINES * STEPS:
        raise RuntimeError(f"not every step completed once: {len(steps)} of them, {Counter(steps.values())}")
    return took


def count(seen: Counter[tuple[str, ...]], event: dict[str, str]) -> None:
    if event["type"] in ("StepErrorEvent", "PipelineErrorEvent"):
        raise RuntimeError(event)
    if event["type"] == "StepCompleteEvent":
        seen[event["pipeline_id"], event["step_name"]] += 1
    seen[event["type"],] += 1


@contextlib.contextmanager
def submitting(hub: Hub) -> Iterator[None]:
    """A process of its own submits all of them."""
    code = f"from benchmarks.pipelines import submit_all; submit_all({PIPELINES})"
    command = [sys.executable, str(ROOT / "manage.py"), "shell", "-v0", "-c", code]
    with subprocess.Popen(command, env=hub.environment, cwd=ROOT) as process:
        yield
    if process.returncode:
        raise RuntimeError("not all could be submitted")


def submit_all(number: int) -> None:
    """In the process of a `manage.py shell`."""
    from tasks import INPUT, pipeline, result

    draft = pipeline("benchmark", input="x").step("s1", "test.echo", {"value": INPUT})
    for step in range(2, STEPS + 1):
        draft = draft.step(f"s{step}", "test.echo", result(f"s{step - 1}"))
    for _ in range(number):
        draft.submit()


@contextlib.contextmanager
def killing(hub: Hub) -> Iterator[list[int]]:
    """Meanwhile every few seconds one worker ends as if its machine had lost power. Yields whom it met."""
    over, killed = threading.Event(), []

    def kill() -> None:
        while not over.wait(KILL_EVERY):
            workers = hub.request("GET", "/api/v1/workers")[1]["results"]
            victim = random.choice([worker["pid"] for worker in workers if worker["pid"] not in killed] or [0])
            with contextlib.suppress(ProcessLookupError):
                if victim:
                    os.kill(victim, signal.SIGKILL)
                    killed.append(victim)

    thread = threading.Thread(target=kill)
    if KILL_EVERY:
        thread.start()
    try:
        yield killed
    finally:
        over.set()
        if thread.ident:
            thread.join()


if __name__ == "__main__":
    main()
