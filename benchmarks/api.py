"""The API over 1,000,000 tasks: status, lists, search; and submitting, beside a bare DRF view that creates one row.

Requests go through the whole of Django in one process, one after the other, without a server and its sockets: what is
measured is our work, and all of it. Once on SQLite and once on PostgreSQL.

    python -m benchmarks api                    1,000,000 tasks
    TASKS=20000 python -m benchmarks api
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.rows import generate
from benchmarks.servers import postgres_server

TASKS, TIMES = int(os.environ.get("TASKS", 1_000_000)), int(os.environ.get("TIMES", 200))
ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    _child("SQLite", "")
    with postgres_server() as url:
        _child("PostgreSQL", url)


def _child(database: str, url: str) -> None:
    """A hub's settings are read once in a process: so each database has one of its own."""
    print(f"\n{database}", flush=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as home:
        environment = os.environ | {
            "TASKHUB_DATA": home,
            "TASKHUB_ENV": "development",
            "TASKHUB_APPS": "demo",
            "TASKHUB_RATE_LIMIT": "2000000000",
            "DATABASE_URL": url,
            "REDIS_URL": "",
        }
        manage = [sys.executable, str(ROOT / "manage.py")]
        subprocess.run([*manage, "migrate", "-v0"], check=True, env=environment, cwd=ROOT)
        command = [*manage, "shell", "-v0", "-c", "from benchmarks.api import measure; measure()"]
        subprocess.run(command, check=True, env=environment, cwd=ROOT)


# -- in the child --------------------------------------------------------------------------------------------------


def measure() -> None:
    generate(TASKS)
    report()


def report() -> None:
    from django.contrib.auth import get_user_model
    from django.test import Client

    from tasks import access

    admin = get_user_model().objects.create_superuser("benchmark")
    owner = get_user_model().objects.get(username="owner7")
    clients = [
        Client(headers={"Host": "localhost", "Authorization": f"Bearer {access.make_token(user, ['admin'])[1]}"})
        for user in (admin, owner)
    ]
    print(f"{TASKS:,} tasks; {TIMES} requests each, in ms{'p50':>22} {'p99':>8}")
    for label, path, client in reads(*clients):
        took = timed(lambda: _ok(client.get(f"/api/v1{path}"), 200), TIMES)  # noqa: B023
        p99 = statistics.quantiles(took, n=100, method="inclusive")[98]
        print(f"  {label:<48} {statistics.median(took):>8.2f} {p99:>8.2f}", flush=True)
    for label, request, number in writes(clients[0]):
        took = timed(request, max(20, TIMES // (1 if number == 1 else 10)))
        print(f"  {label:<48} {number * 1000 / statistics.mean(took):>8,.0f} a second", flush=True)


def reads(admin: Any, owner: Any) -> Iterator[tuple[str, str, Any]]:
    yield "GET /queue/status", "/queue/status", admin
    yield "GET /tasks", "/tasks", admin
    yield "GET /tasks?status=dead_lettered", "/tasks?status=dead_lettered", admin
    yield "GET /tasks?status=failed&queue=queue3", "/tasks?status=failed&queue=queue3", admin
    yield "GET /tasks?name=name3", "/tasks?name=name3", admin
    yield "GET /tasks?status=failed&name=name3&owner=owner7", "/tasks?status=failed&name=name3&owner=owner7", admin
    yield "GET /tasks?ordering=-finished_at", "/tasks?ordering=-finished_at", admin
    yield "GET /tasks, as an owner of few", "/tasks", owner
    yield "GET /tasks?status=dead_lettered, as an owner", "/tasks?status=dead_lettered", owner
    yield "GET /tasks?tag=tag3", "/tasks?tag=tag3", admin
    yield "GET /tasks?q=nowhere (looks at 5,000, finds none)", "/tasks?q=nowhere", admin
    yield "GET /queue/tasks", "/queue/tasks", admin


def writes(client: Any) -> Iterator[tuple[str, Callable[[], object], int]]:
    from django.test import override_settings

    task = {"name": "demo.report", "payload": {}}
    many = {"tasks": [task] * 100}
    row = {"queue": "q", "status": "pending", "n": 1}

    def post(path: str, body: dict[str, Any]) -> None:
        _ok(client.post(path, body, content_type="application/json"), 201)

    with override_settings(ROOT_URLCONF="benchmarks.bare"):  # behind the same middleware
        yield "a bare DRF view, one row", lambda: post("/rows", row), 1
    yield "POST /tasks", lambda: post("/api/v1/tasks", task), 1
    yield "POST /tasks/bulk, 100 at once", lambda: post("/api/v1/tasks/bulk", many), 100


def timed(request: Callable[[], object], times: int) -> list[float]:
    """How long each took, in milliseconds."""
    for _ in range(5):
        request()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        request()
        took.append((time.perf_counter() - began) * 1000)
    return took


def _ok(response: Any, status: int) -> None:
    if response.status_code != status:
        raise RuntimeError(f"{response.status_code}: {response.content[:500]}")
