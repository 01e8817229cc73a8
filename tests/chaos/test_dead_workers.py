"""Workers that are killed, frozen or stopped: their tasks run again, once accepted, and zombies change nothing."""

from __future__ import annotations

import datetime as dt
import os
import signal
import time
from collections import Counter

import pytest

from tasks import lifecycle
from tasks.database import database_now
from tasks.models import Attempt, Task, TaskEvent, Worker
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
    cluster = hub.cluster(workers=2, TASKHUB_SHUTDOWN_GRACE_S=4).start()
    (short,), (long,) = hub.submit("chaos.work", seconds=1), hub.submit("chaos.work", seconds=50)
    until(lambda: len(hub.effects.read()) == 2, "both to run")
    cluster.terminate()
    time.sleep(1)
    (waiting,) = hub.submit("chaos.work")
    cluster.wait()
    for task in (short, long, waiting):
        task.refresh_from_db()
    assert [task.status for task in (short, long, waiting)] == ["completed", "pending", "pending"]
    assert (long.attempt, long.tries) == (0, 1)
    assert Worker.objects.filter(stopped_at=None, lost_at=None).count() == 0


@pytest.mark.full
def test_nothing_is_claimed_from_one_second_after_sigterm_on(hub: Hub):
    """R9: under backlog, when there is always something to claim."""
    cluster = hub.cluster(workers=2, TASKHUB_SHUTDOWN_GRACE_S=3).start()
    hub.submit("chaos.work", 200, seconds=0.1)
    hub.submit("chaos.async", 600, seconds=1)
    until(lambda: hub.left() < 790, "some of it")
    told = database_now()
    cluster.terminate()
    assert cluster.wait(30) == 0
    claims = TaskEvent.objects.filter(action="claim").order_by("timestamp")
    assert claims.last().timestamp - told <= dt.timedelta(seconds=1)
    assert set(Task.objects.values_list("status", flat=True)) == {"completed", "pending"}
    assert set(Task.objects.filter(status="pending").values_list("attempt", flat=True)) == {0}
    assert not cluster.remains()


@pytest.mark.full
def test_a_machine_that_is_gone_costs_its_tasks_one_lease(hub: Hub):
    """Nobody can see its processes, and they say nothing any more: only the lease tells."""
    gone = hub.cluster(workers=2).start()
    hub.submit("chaos.work", 2, seconds=2)
    hub.submit("chaos.async", 10, seconds=2)
    until(lambda: Task.objects.filter(status="processing").count() == 12, "all to run")
    for pid in gone.tree():
        os.kill(pid, signal.SIGSTOP)
    Worker.objects.update(machine="another")
    there = hub.cluster(workers=2).start()
    hub.drained(30)
    assert Attempt.objects.filter(outcome="lost").exists()
    assert there.is_complete, there.tail()
    gone.kill()
    assert hub.verdict().is_clean, hub.verdict()


@pytest.mark.full
def test_many_who_sweep_rescue_each_task_once(hub: Hub):
    """R13: hundreds of leases have run out, and every worker of two pools finds them at the same moment."""
    long_ago = database_now() - dt.timedelta(seconds=60)
    for _ in range(30):
        dead = Worker.objects.create(
            host="gone", machine="another", pid=1, role="plain",
            started_at=long_ago, heartbeat_at=long_ago, expires_at=long_ago,
        )  # fmt: skip
        tasks = hub.submit("chaos.work", 10)
        lifecycle.claim(Task.objects.ready().filter(pk__in=[task.pk for task in tasks]), dead)
    for _ in range(2):
        hub.cluster(workers=2).launch()
    hub.drained()
    ends = Counter(Attempt.objects.values_list("outcome", flat=True))
    assert (ends["lost"], ends["completed"]) == (300, 300)
    assert hub.verdict().is_clean, hub.verdict()


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
