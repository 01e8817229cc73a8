"""What dying workers cost: a stock django-q2 cluster (ORM broker) beside TaskHub, two workers each, SQLite, no Redis.

TaskHub has its defaults (a lease of 15 s); django-q2's lease, `retry`, is set to 20 s instead of its 60.

    idle      `kill -9` of an idle worker, again and again, a task after each. Half of the time it is the one that
              holds the lock of django-q2's queue
    R1        `kill -9` of a worker in the middle of its task, four times, beside others
    R3        a worker is frozen for twice the lease in the middle of a task, and goes on
    R10       one task that always kills its worker, and 100 healthy ones

    python -m benchmarks stock           about five minutes
    ONLY=R1 python -m benchmarks stock
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from benchmarks.contenders import EFFECTS_VARIABLE
from benchmarks.drain import run
from benchmarks.servers import process
from tests.processes import alive, children, descendants
from tests.services import free_port

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 75.0  # seconds after which what has not happened counts as never
KILLS = 5
REST = 2.0  # seconds in which a pool becomes idle, and in which it may notice a death
LAST_WORD = 8.0  # seconds in which a worker that goes on may say what it did: there may be nothing to wait for


class Contender:
    """A pool of two workers, started, with the evidence that its tasks leave."""

    name: str
    lease: float

    def __init__(self, home: str, stack: ExitStack) -> None:
        self.effects = Path(home) / "effects"
        self.effects.touch()
        self.environment = {EFFECTS_VARIABLE: str(self.effects), "PYTHONPATH": str(ROOT), **self.settings(home)}
        run([*self.manage, "migrate", "-v0"], self.environment)
        self.database = Path(home) / self.file
        self.process = stack.enter_context(process(self.command, self.environment, f"{home}/log"))
        self.submit("first")
        self.until(lambda: self.count("end", "first"))

    def settings(self, home: str) -> dict[str, str]: ...

    def submit(self, name: str, n: int = 1, **arguments: object) -> None:
        lines = "\n".join(self.enqueue.format(kwargs={"name": f"{name}", **arguments}) for _ in range(n))
        run([*self.manage, "shell", "-v0", "-c", self.preamble + lines], self.environment)

    def lines(self) -> list[list[str]]:
        return [line.split() for line in self.effects.read_text().splitlines()]

    def count(self, what: str, name: str) -> int:
        return sum(line[:2] == [what, name] for line in self.lines())

    def busy(self, name: str) -> list[int]:
        """The workers that run a task of that name just now, the latest first."""
        ended = [line[1:3] for line in self.lines() if line[0] == "end"]
        begun = [line for line in self.lines() if line[0] == "begin" and line[1] == name]
        return [int(line[2]) for line in reversed(begun) if line[1:3] not in ended]

    def until(self, condition: Callable[[], object], seconds: float = PATIENCE) -> float | None:
        """The seconds until it holds, None if it never does."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds:
                return None
            time.sleep(0.02)
        return time.monotonic() - began

    def one(self, query: str) -> int:
        with closing(sqlite3.connect(self.database, timeout=20)) as database:
            return database.execute(query).fetchone()[0]


class TaskHub(Contender):
    name, lease, file = "TaskHub", 15.0, "taskhub.sqlite3"
    manage = [sys.executable, str(ROOT / "manage.py")]
    command = [*manage, "hub", "--no-web"]
    preamble = "from tasks import submit\n"
    enqueue = "submit('benchmark.witness', {kwargs})"
    accepted = "SELECT count(*) FROM tasks_attempt WHERE outcome = 'completed'"
    refused = "SELECT count(*) FROM tasks_attempt WHERE late IS NOT NULL"
    dead = "SELECT count(*) FROM tasks_task WHERE status = 'dead_lettered'"

    def settings(self, home: str) -> dict[str, str]:
        return {
            "TASKHUB_DATA": home, "TASKHUB_ENV": "development", "TASKHUB_APPS": "benchmarks.contenders",
            "TASKHUB_WORKERS": "2", "DATABASE_URL": "", "REDIS_URL": "", "PORT": str(free_port()),
        }  # fmt: skip

    def workers(self) -> list[int]:
        """Without the one that runs the event loop."""
        with closing(sqlite3.connect(self.database, timeout=20)) as database:
            query = "SELECT pid FROM tasks_worker WHERE role = 'plain' AND stopped_at IS NULL AND lost_at IS NULL"
            live = {pid for (pid,) in database.execute(query)}
        return [pid for pid in descendants(self.process.pid) if pid in live]


class DjangoQ(Contender):
    name, lease, file = "django-q2", 20.0, "db.sqlite3"
    manage = [sys.executable, "-m", "django"]
    command = [*manage, "qcluster"]
    preamble = "from django_q.tasks import async_task\n"
    enqueue = "async_task('benchmarks.contenders.witness', **{kwargs})"
    accepted = "SELECT count(*) FROM django_q_task WHERE success"
    refused = "SELECT 0"
    dead = "SELECT 0"

    def settings(self, home: str) -> dict[str, str]:
        settings = "benchmarks.contenders.djangoq_orm_settings"
        return {"DJANGO_SETTINGS_MODULE": settings, "BENCHMARK_SQLITE": f"{home}/{self.file}"}

    def workers(self) -> list[int]:
        """Its sentinel starts the workers, then monitor and pusher; those that replace others come last."""
        self._helpers = getattr(self, "_helpers", None) or children(children(self.process.pid)[0])[2:4]
        return [pid for pid in children(children(self.process.pid)[0]) if pid not in self._helpers]


# -- faults --------------------------------------------------------------------------------------------------------


def idle(pool: Contender) -> str:
    pool.workers()
    for number in range(KILLS):
        time.sleep(REST)
        os.kill(random.choice(pool.workers()), signal.SIGKILL)
        time.sleep(REST)
        pool.submit(f"after-{number}")
        if pool.until(lambda: pool.count("end", f"after-{number}"), 45) is None:  # noqa: B023 - called at once
            return f"stood still for good after kill {number + 1} (45 s watched)"
    return f"went on after each of {KILLS} kills"


def r1(pool: Contender) -> str:
    waits: list[float] = []
    pool.submit("background", 60, seconds=0.5)
    for number in range(4):
        pool.submit(f"victim-{number}", seconds=1.5)
        name = f"victim-{number}"
        if pool.until(lambda: pool.busy(name)) is None:  # noqa: B023 - called at once
            return f"{number} tasks killed and run again, then it stood still for good ({PATIENCE:g} s watched)"
        os.kill(pool.busy(name)[0], signal.SIGKILL)
        killed = pool.until(lambda: pool.count("begin", name) > 1)  # noqa: B023 - called at once
        if killed is None:
            return f"after kill {number + 1} the task did not run again ({PATIENCE:g} s watched)"
        waits.append(killed)
    return f"run again after {min(waits):.1f} to {max(waits):.1f} s"


def r3(pool: Contender) -> str:
    pool.submit("zombie", seconds=2)
    pool.until(lambda: pool.busy("zombie"))
    frozen = pool.busy("zombie")[0]
    before = pool.one(pool.accepted)
    os.kill(frozen, signal.SIGSTOP)
    again = pool.until(lambda: pool.count("begin", "zombie") > 1, 2 * pool.lease)
    pool.until(lambda: pool.count("end", "zombie"), 10)
    if alive(frozen):
        os.kill(frozen, signal.SIGCONT)
    time.sleep(LAST_WORD)
    return (
        f"run again after {again:.1f} s; " if again is not None else f"not run again within {2 * pool.lease:g} s; "
    ) + (
        f"finished {pool.count('end', 'zombie')} times, {pool.one(pool.accepted) - before} accepted,"
        f" {pool.one(pool.refused)} recorded as late"
    )


def r10(pool: Contender) -> str:
    pool.submit("poison", is_poison=True)
    pool.submit("healthy", 100, seconds=0.05)
    done = pool.until(lambda: pool.count("end", "healthy") >= 100)
    time.sleep(max(PATIENCE - (done or PATIENCE), 0))  # how often poison begins in all of that time
    return (
        f"{pool.count('end', 'healthy')} of 100 healthy ones done"
        f"{f' in {done:.0f} s' if done else ''}; poison began {pool.count('begin', 'poison')} times in {PATIENCE:g} s,"
        f" {'set aside as a dead letter' if pool.one(pool.dead) else 'and will again'}"
    )


FAULTS: dict[str, Callable[[Contender], str]] = {"idle": idle, "R1": r1, "R3": r3, "R10": r10}


def main() -> None:
    for title, fault in FAULTS.items():
        if os.environ.get("ONLY", title) == title:
            for kind in (TaskHub, DjangoQ):
                with tempfile.TemporaryDirectory(prefix="benchmark-") as home, ExitStack() as stack:
                    print(f"{title:<5} {kind.name:<10} {fault(kind(home, stack))}", flush=True)
