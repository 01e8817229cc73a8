"""When a cluster counts as standing still. Its processes are real ones that sleep; their sessions are made here."""

from __future__ import annotations

import datetime as dt
import os
import socket
import subprocess
import sys
import time

import pytest

from tasks.database import database_now
from tasks.engine import progress, session
from tasks.engine.progress import Progress, Since
from tasks.models import Queue, Task, Worker
from tests.factories import make_task, make_worker
from tests.processes import alive

pytestmark = pytest.mark.django_db
SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """What takes seconds takes none, so that one look tells; those that matter to a test are set there."""
    for name in ("SETTLING", "MISSING", "OVERDUE", "STUCK"):
        monkeypatch.setattr(progress, name, 0.0)


@pytest.fixture
def process():
    """A member of a group of its own."""
    process = subprocess.Popen(SLEEPS, start_new_session=True)
    yield process
    process.kill()
    process.wait(30)


def worker_of(process: subprocess.Popen[bytes], **fields) -> Worker:
    here = {"host": socket.gethostname()[:255], "machine": session.machine()}
    return make_worker(pid=process.pid, **here | fields)


def idle_for(seconds: float) -> dict[str, dt.datetime]:
    return {"idle_since": database_now() - dt.timedelta(seconds=seconds)}


def waiting_for(seconds: float, **options) -> Task:
    task = make_task(**options)
    earlier = database_now() - dt.timedelta(seconds=seconds)
    Task.objects.filter(pk=task.pk).update(run_at=earlier, updated_at=earlier)
    return task


def complaint_of(group: int, expected: int = 1, **options) -> str | None:
    followed = Progress(group, expected, **options)
    followed.look()
    return followed.complaint


def test_sessions_of_the_group_are_counted(process):
    assert complaint_of(process.pid) == "only 0 of 1 workers have been alive for 0 s"
    worker_of(process)
    assert complaint_of(process.pid) is None
    assert "only 1 of 2" in complaint_of(process.pid, expected=2)


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "elsewhere"},
        {"machine": "another boot of it"},
        {"stopped_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},
        {"lost_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},
        {"expires_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},
    ],
)
def test_other_sessions_are_not(fields, process, monkeypatch):
    monkeypatch.setattr(progress, "OVERDUE", 3600.0)
    worker_of(process, **fields)
    assert "only 0 of 1" in complaint_of(process.pid)


def test_processes_of_other_groups_are_not_ours(process):
    worker_of(process)
    assert "only 0 of 1" in complaint_of(os.getpgid(0))
    process.kill()
    process.wait(30)
    assert "only 0 of 1" in complaint_of(process.pid)


def test_missing_sessions_have_time_to_come(process, monkeypatch):
    monkeypatch.setattr(progress, "SETTLING", 3600.0)
    assert complaint_of(process.pid) is None
    monkeypatch.setattr(progress, "SETTLING", 0.0)
    monkeypatch.setattr(progress, "MISSING", 3600.0)
    assert complaint_of(process.pid) is None


def test_all_busy_is_health(process):
    worker_of(process, idle_since=None)
    waiting_for(3600)
    assert complaint_of(process.pid) is None


def test_idle_beside_a_task_that_waits_is_not(process):
    worker_of(process, **idle_for(60))
    assert complaint_of(process.pid) is None
    waiting_for(60)
    assert complaint_of(process.pid) == "a worker is idle while a task that it could run is waiting"
    assert complaint_of(process.pid, knows_handlers=False) is None


@pytest.mark.parametrize(
    "options",
    [{"name": "test.async"}, {"queue": "closed"}, {"delay": 3600}],
    ids=["another role's", "of a paused queue", "not due"],
)
def test_a_task_that_the_idle_one_cannot_run(options, process):
    Queue.objects.create(name="closed", paused_at=database_now())
    worker_of(process, **idle_for(60))
    task = make_task(**options)
    Task.objects.filter(pk=task.pk).update(updated_at=database_now() - dt.timedelta(seconds=60))
    if "delay" not in options:
        Task.objects.filter(pk=task.pk).update(run_at=database_now() - dt.timedelta(seconds=60))
    assert complaint_of(process.pid) is None


def test_a_task_that_came_after_the_last_heartbeat_is_not_held_against_it(process):
    worker_of(process, **idle_for(60), heartbeat_at=database_now() - dt.timedelta(seconds=10))
    waiting_for(9)
    assert complaint_of(process.pid) is None


def test_a_single_heartbeat_that_says_idle_is_not_enough(process):
    now = database_now()
    worker_of(process, idle_since=now, heartbeat_at=now)
    waiting_for(60)
    assert complaint_of(process.pid) is None


def test_a_process_that_outlives_its_lease_is_ended(process):
    worker_of(process, expires_at=database_now() - dt.timedelta(seconds=1))
    complaint_of(process.pid)
    assert process.wait(30) < 0


def test_a_process_that_was_declared_lost_is_ended(process):
    worker_of(process, lost_at=database_now())
    complaint_of(process.pid)
    assert process.wait(30) < 0


def test_only_the_last_session_of_a_process_id_counts(process):
    earlier = database_now() - dt.timedelta(minutes=10)
    worker_of(process, started_at=earlier, expires_at=earlier)
    worker_of(process)
    assert complaint_of(process.pid) is None
    assert process.poll() is None


def test_after_an_outage_nothing_is_held_against_anybody(process, monkeypatch):
    monkeypatch.setattr(progress, "SETTLING", 0.0)
    followed = Progress(process.pid, 1)
    monkeypatch.setattr(progress, "SETTLING", 3600.0)
    followed.begin()
    worker_of(process, expires_at=database_now() - dt.timedelta(seconds=60))
    followed.look()
    assert followed.complaint is None
    assert process.poll() is None


def test_a_condition_must_hold_without_a_break(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    since = Since()
    assert not since.lasts(True, 3)
    now[0] += 3
    assert since.lasts(True, 3)
    assert not since.lasts(False, 3)
    now[0] += 3
    assert not since.lasts(True, 3)


@pytest.mark.parametrize("prompt", [True, False])
def test_a_database_that_nobody_can_write_to_is_no_fault_of_the_workers(process, monkeypatch, prompt):
    """SQLite can be read while somebody holds the lock that every renewal waits for."""
    monkeypatch.setattr(progress, "SETTLING", 0.01)
    worker_of(process, expires_at=database_now() - dt.timedelta(seconds=30))
    monkeypatch.setattr(progress, "PROMPTLY", 1.0 if prompt else 0.0)
    followed = Progress(process.pid, 1)
    time.sleep(0.02)
    followed.look()
    assert bool(followed.complaint) is prompt
    assert alive(process.pid) == (set() if prompt else {process.pid})
