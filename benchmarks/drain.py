"""Draining a backlog: no-op tasks that each increment a Redis key, two worker processes.

TaskHub keeps its full history and feeds one stream client meanwhile; Celery sends its events to one receiver; Huey
keeps nothing; django-q2 saves its results. Each is first given its backlog, then its workers are started; TaskHub's
wait, with the queue paused, until they are there and the client listens, so that it sees everything. The time is taken
from the first increment to the last. In turns, several times; the median is printed.

    python -m benchmarks drain            10,000 tasks, 3 rounds
    TASKS=2000 ROUNDS=1 python -m benchmarks drain
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import redis

from benchmarks.contenders import COUNTER, REDIS_VARIABLE
from benchmarks.servers import postgres_server, process, redis_server
from tests.processes import until
from tests.services import free_port

TASKS, ROUNDS = int(os.environ.get("TASKS", 10_000)), int(os.environ.get("ROUNDS", 3))
WORKERS = 2
LIMIT = 300  # seconds for one drain
ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable


def main() -> None:
    with redis_server() as redis_url, postgres_server() as postgres_url:
        contenders: dict[str, Callable[[str], contextlib.AbstractContextManager[None]]] = {
            "TaskHub, SQLite": taskhub(""),
            "TaskHub, PostgreSQL": taskhub(postgres_url),
            "Celery, events": celery,
            "Huey": huey,
            "django-q2, results": django_q,
        }
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        for number in range(ROUNDS):
            for name, contender in contenders.items():
                rates[name].append(measure(contender, redis_url))
                print(f"round {number + 1}  {name:<22} {rates[name][-1]:>8,.0f} tasks/s", flush=True)
    report(rates)


def report(rates: dict[str, list[float]]) -> None:
    celery_rate, huey_rate = (statistics.median(rates[name]) for name in ("Celery, events", "Huey"))
    print(f"\n{TASKS:,} tasks, 2 worker processes, median of {ROUNDS}\n")
    print(f"{'':<22} {'tasks/s':>9} {'lowest':>9} {'highest':>9} {'/ Celery':>9} {'/ Huey':>8}")
    for name, values in rates.items():
        rate = statistics.median(values)
        print(
            f"{name:<22} {rate:>9,.0f} {min(values):>9,.0f} {max(values):>9,.0f}"
            f" {rate / celery_rate:>9.2f} {rate / huey_rate:>8.2f}"
        )


def measure(contender: Callable[[str], contextlib.AbstractContextManager[None]], redis_url: str) -> float:
    """Tasks a second from the first increment to the last."""
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    with contender(redis_url):
        counted = lambda: int(client.get(COUNTER) or 0)  # noqa: E731
        end = time.monotonic() + LIMIT
        while not (first := counted()):
            _patience(end)
        began = time.monotonic()
        while (now := counted()) < TASKS:
            _patience(end)
        return (now - first) / (time.monotonic() - began)


def _patience(end: float) -> None:
    if time.monotonic() > end:
        raise TimeoutError(f"not drained within {LIMIT} s")
    time.sleep(0.002)


# -- contenders ----------------------------------------------------------------------------------------------------


def taskhub(database_url: str) -> Callable[[str], contextlib.AbstractContextManager[None]]:
    """A hub as users run it: supervisor, web process, workers, and one client that follows every event."""

    @contextlib.contextmanager
    def contender(redis_url: str) -> Iterator[None]:
        variables = {
            REDIS_VARIABLE: redis_url,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url if database_url else "",
        }
        before = f"from benchmarks.drain import paused_backlog; paused_backlog({TASKS})"
        with (
            hub(variables, before) as environment,
            follower(environment["PORT"], environment["TOKEN"]),
            api(environment) as hub_api,
        ):
            all_there = lambda: hub_api.get("queue/status").json()["workers_online"] > WORKERS  # noqa: E731
            until(all_there, "the workers, and the one that runs the event loop")
            hub_api.post("queues/default/resume").raise_for_status()
            yield

    return contender


def api(environment: dict[str, str]) -> httpx.Client:
    address = f"http://127.0.0.1:{environment['PORT']}/api/v1/"
    return httpx.Client(base_url=address, headers={"Authorization": f"Bearer {environment['TOKEN']}"})


@contextlib.contextmanager
def follower(port: str, token: str) -> Iterator[None]:
    """A client that follows everything; it does when this returns."""
    with process([PYTHON, "-m", "benchmarks.follow", port, token], {}, output=subprocess.PIPE) as client:
        assert client.stdout
        client.stdout.readline()
        yield


@contextlib.contextmanager
def hub(variables: dict[str, str], before: str = "pass") -> Iterator[dict[str, str]]:
    """A hub with two workers on an empty database, and the `TOKEN` of somebody who may do everything.

    `before` is run by `manage.py shell` before it starts.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as home:
        environment = {
            "TASKHUB_DATA": home,
            "TASKHUB_ENV": "development",
            "TASKHUB_APPS": "benchmarks.contenders",
            "TASKHUB_WORKERS": str(WORKERS),
            "PORT": str(free_port()),
            **variables,
        }
        manage(environment, "migrate", "-v0")
        manage(environment, "flush", "--no-input", "-v0")
        manage(environment, "shell", "-v0", "-c", before)
        token = manage(environment, "token", "admin", "--create", "--scope", "admin", "read").split()[-1]
        environment["TOKEN"] = token
        with process([PYTHON, str(ROOT / "manage.py"), "hub"], environment, f"{home}/log"):
            yield environment


def manage(environment: dict[str, str], *command: str) -> str:
    """What `manage.py` prints."""
    return run([PYTHON, str(ROOT / "manage.py"), *command], environment)


def paused_backlog(number: int) -> None:
    """In the process of a `manage.py shell`."""
    from tasks.database import database_now
    from tasks.models import Queue

    Queue.objects.create(name="default", paused_at=database_now())
    backlog(number)


def backlog(number: int) -> None:
    """Submit, in the process of a `manage.py shell`."""
    from tasks.submission import build_many, create_all

    for start in range(0, number, 1000):
        create_all(build_many([{"name": "benchmark.increment"}] * min(1000, number - start)), "benchmark")


@contextlib.contextmanager
def celery(redis_url: str) -> Iterator[None]:
    environment = {REDIS_VARIABLE: redis_url}
    module = "benchmarks.contenders.celery_app"
    run([PYTHON, "-m", module, "enqueue", str(TASKS)], environment)
    worker = [PYTHON, "-m", "celery", "-A", module, "worker", "-c", "2", "-E", "-l", "ERROR"]
    with process([PYTHON, "-m", module, "watch"], environment), process(worker, environment):
        yield


@contextlib.contextmanager
def huey(redis_url: str) -> Iterator[None]:
    environment = {REDIS_VARIABLE: redis_url}
    run([PYTHON, "-m", "benchmarks.contenders.huey_app", "enqueue", str(TASKS)], environment)
    consumer = [
        PYTHON,
        "-m",
        "huey.bin.huey_consumer",
        "benchmarks.contenders.huey_app.huey",
        "-w",
        "2",
        "-k",
        "process",
    ]
    with process([*consumer, "-q"], environment):
        yield


@contextlib.contextmanager
def django_q(redis_url: str) -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as home:
        environment = {
            REDIS_VARIABLE: redis_url,
            "BENCHMARK_SQLITE": f"{home}/db.sqlite3",
            "DJANGO_SETTINGS_MODULE": "benchmarks.contenders.djangoq_settings",
            "PYTHONPATH": str(ROOT),
        }
        django = [PYTHON, "-m", "django"]
        run([*django, "migrate", "-v0"], environment)
        enqueue = (
            "from django_q.tasks import async_task; [async_task('benchmarks.contenders.increment') for _ in range({})]"
        )
        run([*django, "shell", "-v0", "-c", enqueue.format(TASKS)], environment)
        with process([*django, "qcluster"], environment):
            yield


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return done.stdout
