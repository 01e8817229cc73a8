"""Workers that are killed, frozen or stopped: their tasks run again, once accepted, and zombies change nothing."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tasks import lifecycle
from tasks.models import Attempt, Queue, Task, Worker
from tests.chaos.cluster import until
from tests.chaos.conftest import Hub


@pytest.mark.parametrize("seconds", [10, pytest.param(60, marks=pytest.mark.full)])
def test_workers_that_are_killed_again_and_again(hub: Hub, seconds: int):
    """R1, R2: one worker dies every second."""
    cluster = hub.cluster(workers=3).start()
    hub.submit("chaos.work", 15 * seconds, seconds=0.2)
    hub.submit("chaos.async", 5 * seconds, seconds=0.5)
    end, kills = time.monotonic() + seconds, 0
    while time.monotonic() < end and hub.left():
        victim = until(cluster.sessions, "a worker")[kills % len(cluster.sessions() or [0])]
        os.kill(victim.pid, signal.SIGKILL)
        kills += 1
        time.sleep(1)
    hub.drained()
    assert kills
    assert Task.objects.exclude(status="completed").count() == 0
    assert hub.verdict().is_clean, hub.verdict()


def test_a_zombie_finds_its_lease_gone(hub: Hub):
    """R3: a worker is frozen for longer than its lease in the middle of a task, and then goes on."""
    first, second = hub.cluster(workers=1).start(), hub.cluster(workers=1).start()
    (task,) = hub.submit("chaos.work", seconds=1)
    held = until(lambda: Task.objects.filter(pk=task.pk, status="processing").first(), "its claim")
    os.kill(held.worker.pid, signal.SIGSTOP)
    until(lambda: Attempt.objects.filter(task=task, outcome="lost").exists(), "its rescue")
    until(lambda: not hub.left(), "its completion elsewhere")
    os.kill(held.worker.pid, signal.SIGCONT)
    late = until(lambda: Attempt.objects.filter(task=task, late__isnull=False).first(), "the zombie's last word")
    assert (late.number, late.outcome) == (1, "lost")
    verdict = hub.verdict()
    assert (verdict.zombie_applied, verdict.overlap, verdict.dup_transition) == (0, 0, 0)
    assert first.log.exists()
    assert second.log.exists()


def test_idle_processes_of_the_tree_may_die(hub: Hub):
    """Every worker at once, and then the carrier's own helpers."""
    cluster = hub.cluster().start()
    for session in cluster.sessions():
        os.kill(session.pid, signal.SIGKILL)
    hub.submit("chaos.work", 5)
    hub.submit("chaos.async", 5)
    hub.drained(30)
    os.kill(cluster.pusher, signal.SIGKILL)
    hub.submit("chaos.work", 5)
    hub.drained(30)
    assert hub.verdict().is_clean, hub.verdict()


def test_sigterm_finishes_what_is_short_and_gives_back_what_is_long(hub: Hub):
    """R9: nothing is claimed after the signal, the long task uses no attempt."""
    cluster = hub.cluster(workers=2, TASKHUB_SHUTDOWN_GRACE_S=2).start()
    (short,), (long,) = hub.submit("chaos.work", seconds=1), hub.submit("chaos.work", seconds=50)
    processing = Task.objects.filter(status="processing")
    until(lambda: processing.count() == 2, "both to run")
    cluster.terminate()
    time.sleep(1)
    (waiting,) = hub.submit("chaos.work")
    cluster.wait()
    for task in (short, long, waiting):
        task.refresh_from_db()
    assert [task.status for task in (short, long, waiting)] == ["completed", "pending", "pending"]
    assert (long.attempt, long.tries) == (0, 1)
    assert Worker.objects.filter(stopped_at=None, lost_at=None).count() == 0


def test_a_paused_queue_starts_nothing_and_urgent_tasks_overtake(hub: Hub):
    Queue.objects.create(name="held", paused_at="2026-01-01T00:00:00Z")
    (held,) = hub.submit("chaos.work", _queue="held")
    slow = hub.submit("chaos.work", 30, seconds=0.1)
    hub.cluster(workers=1).start()
    until(lambda: Task.objects.filter(status="completed").count() >= 5, "some of the backlog")
    (urgent,) = hub.submit("chaos.work", _priority=100)
    until(lambda: Task.objects.filter(pk=urgent.pk, status="completed").exists(), "the urgent one")
    assert Task.objects.filter(pk__in=[task.pk for task in slow], status="pending").exists()
    until(lambda: not Task.objects.exclude(pk=held.pk).exclude(status="completed").exists(), "the backlog")
    held.refresh_from_db()
    assert held.status == "pending"


def test_cancel_reaches_a_checkpoint_and_ends_code_without_one(hub: Hub):
    hub.cluster(workers=2, TASKHUB_CANCEL_GRACE_S=1).start()
    (steps,), (work,) = hub.submit("chaos.steps"), hub.submit("chaos.work", seconds=50)
    until(lambda: Task.objects.filter(status="processing").count() == 2, "both to run")
    for task in (steps, work):
        lifecycle.cancel(task.pk, "test")
    hub.drained(30)
    assert set(Task.objects.values_list("status", flat=True)) == {"canceled"}


@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(name, marks=pytest.mark.full) for name in ("chaos.hang", "chaos.async_hang", "chaos.query")),
        *(pytest.param(name, marks=pytest.mark.full) for name in ("chaos.stubborn", "chaos.regex")),
        "chaos.async_block",
        "chaos.c",
    ],
)
def test_a_deadline_ends_whatever_runs(sqlite_hub: Hub, name: str):
    """R11: Python, also if it swallows exceptions; async code, also if it blocks; C that holds the interpreter."""
    sqlite_hub.cluster().start()
    (task,) = sqlite_hub.submit(name, _max_attempts=1)
    sqlite_hub.drained(60)
    task.refresh_from_db()
    assert (task.status, task.error["type"]) == ("dead_lettered", "DeadlineExceeded")
