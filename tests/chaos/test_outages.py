"""What the engine stands on goes away and comes back: work goes on by itself, and nothing is lost meanwhile."""

from __future__ import annotations

import time

import psycopg
import pytest
from django.db import connection

from tasks.models import Attempt, Task
from tests.chaos.cluster import until
from tests.chaos.conftest import Hub, through
from tests.chaos.proxy import Proxy
from tests.services import Service

BACK = 15.0  # seconds within which workers resume


def resumes(hub: Hub, n: int = 5) -> None:
    """New work is done within the time that is promised."""
    connection.close()  # the test's own may have been cut as well
    for task in [*hub.submit("chaos.work", n, _priority=100), *hub.submit("chaos.async", n, _priority=100)]:
        until(lambda: Task.objects.filter(pk=task.pk, status="completed").exists(), "new work to be done", BACK)  # noqa: B023


@pytest.mark.postgres
@pytest.mark.parametrize("seconds", [3, pytest.param(20, marks=pytest.mark.full)])
def test_postgresql_goes_away_and_comes_back(postgres_hub: Hub, postgres: Service, seconds: float):
    """R6: with work running, claimed and waiting. No process ends for good."""
    cluster = postgres_hub.cluster(workers=2).start()
    postgres_hub.submit("chaos.work", 100, seconds=0.1)
    postgres_hub.submit("chaos.async", 50, seconds=0.3)
    until(lambda: postgres_hub.left() < 140, "some of it to be done")
    parent, sentinel = cluster.parent, cluster.sentinel
    postgres.stop()
    time.sleep(seconds)
    assert not cluster.has_ended
    postgres.start()
    resumes(postgres_hub)
    postgres_hub.drained()
    assert (cluster.parent, cluster.sentinel) == (parent, sentinel)
    assert postgres_hub.verdict().is_clean, postgres_hub.verdict()


@pytest.mark.postgres
@pytest.mark.full
@pytest.mark.parametrize("seconds", [5, 60])
def test_connections_that_are_cut_again_and_again(postgres_hub: Hub, seconds: float):
    """R5: all connections of all workers, twice a second."""
    postgres_hub.cluster(workers=2).start()
    postgres_hub.submit("chaos.work", int(20 * seconds), seconds=0.05)
    postgres_hub.submit("chaos.async", int(20 * seconds), seconds=0.1)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'taskhub %'"
            )
        time.sleep(0.5)
    resumes(postgres_hub)
    postgres_hub.drained()
    assert not Task.objects.exclude(status="completed").exists()
    assert postgres_hub.verdict().is_clean, postgres_hub.verdict()


@pytest.mark.postgres
def test_commits_of_which_nobody_learns_whether_they_were_made(postgres_hub: Hub, proxy: Proxy):
    """The line is cut at COMMIT; some arrive all the same, after the worker has looked. Nothing runs twice or never."""
    cluster = postgres_hub.cluster(workers=2, DATABASE_URL=through(proxy, postgres_hub.url)).start()
    with proxy.losing_commits(0.3):
        postgres_hub.submit("chaos.work", 150)
        postgres_hub.submit("chaos.async", 50)
        until(lambda: postgres_hub.left() < 20 or proxy.lost_commits > 40, "a good part of it to be done")
    postgres_hub.drained(30)
    assert proxy.lost_commits > 5
    assert len(postgres_hub.effects.read()) == 200, cluster.tail()
    assert not Attempt.objects.filter(outcome="lost").exists()
    assert postgres_hub.verdict().is_clean, postgres_hub.verdict()


@pytest.mark.postgres
@pytest.mark.full
@pytest.mark.parametrize("seconds", [8, 30])
def test_a_network_that_swallows_everything(postgres_hub: Hub, proxy: Proxy, seconds: float):
    """R7: no reset, no refusal. Others take the leases over; afterwards the workers are back by themselves."""
    cut_off = postgres_hub.cluster(workers=2, DATABASE_URL=through(proxy, postgres_hub.url)).start()
    tasks = postgres_hub.submit("chaos.work", 2, seconds=1)
    until(lambda: Task.objects.filter(status="processing").count() == 2, "both to run")
    with proxy.silent():
        began = time.monotonic()
        others = postgres_hub.cluster(workers=2).start()
        postgres_hub.submit("chaos.work", 20)
        postgres_hub.drained(30)
        assert Attempt.objects.filter(task__in=tasks, outcome="lost").count() == 2
        time.sleep(max(began + seconds - time.monotonic(), 0))
    others.kill()
    until(lambda: cut_off.is_complete, "their sessions", BACK, cut_off.tail)
    resumes(postgres_hub)
    assert postgres_hub.verdict().is_clean, postgres_hub.verdict()


@pytest.mark.postgres
def test_a_worker_that_freezes_in_the_middle_of_a_transaction_keeps_nothing_locked(postgres_hub: Hub):
    """Its rows would be locked for as long as its connection lives."""
    postgres_hub.cluster(workers=1, TASKHUB_FAILPOINT="record.written:stop").start()
    (task,) = postgres_hub.submit("chaos.work")
    until(lambda: postgres_hub.effects.read(), "its run")
    postgres_hub.cluster(workers=1).start()
    postgres_hub.drained(30)
    task.refresh_from_db()
    assert (task.status, task.attempt) == ("completed", 2)
    assert postgres_hub.verdict().is_clean, postgres_hub.verdict()


@pytest.mark.postgres
@pytest.mark.full
def test_a_transaction_that_somebody_leaves_open_holds_nobody_up(postgres_hub: Hub):
    """R8: and a worker still stops when it is told to."""
    cluster = postgres_hub.cluster(workers=2, TASKHUB_SHUTDOWN_GRACE_S=2).start()
    with psycopg.connect(postgres_hub.url) as idle:
        idle.execute("SELECT txid_current()")
        postgres_hub.submit("chaos.work", 300)
        postgres_hub.drained(60)
        cluster.terminate()
        assert cluster.wait(2 + 5) == 0
    assert postgres_hub.verdict().is_clean, postgres_hub.verdict()


@pytest.mark.parametrize("n", [100, pytest.param(1000, marks=pytest.mark.full)])
def test_statements_that_fail_at_random(hub: Hub, n: int):
    """R20: a full disk, a timeout, a conflict, one statement in a hundred. No attempt is left hanging."""
    hub.cluster(workers=2, CHAOS_SQL_FAILS=0.01).start()
    hub.submit("chaos.work", n // 2)
    hub.submit("chaos.fail", n // 4, _retry={"delay": 0.1})
    hub.submit("chaos.async", n // 4)
    hub.drained()
    assert not Task.objects.exclude(status="completed").exists()
    assert hub.verdict().is_clean, hub.verdict()
