"""Only the database's clock counts: clocks of machines that are wrong do no harm, nor does its own when it jumps."""

from __future__ import annotations

import datetime as dt
import statistics

import psycopg
import pytest
from django.db import connection

from tasks.database import database_now
from tasks.models import Attempt, Task, TaskEvent, Worker
from tests.chaos.cluster import until
from tests.chaos.conftest import Hub

SECOND = dt.timedelta(seconds=1)


def lateness(tasks: list[Task]) -> list[float]:
    """By how many seconds after its `run_at` each was first claimed, by the database's clock."""
    claims = TaskEvent.objects.filter(action="claim", attempt=1).values_list("task_id", "timestamp")
    claimed = dict(claims)
    return [(claimed[task.pk] - task.run_at).total_seconds() for task in tasks]


def test_run_at_is_kept_to_the_second(hub: Hub):
    hub.cluster(workers=2).start()
    tasks = [task for n in range(20) for task in hub.submit(("chaos.work", "chaos.async")[n % 2], _delay=0.5 + n / 8)]
    hub.drained(30)
    assert min(lateness(tasks)) >= 0
    assert statistics.median(lateness(tasks)) < 1


@pytest.mark.full
@pytest.mark.postgres
def test_machines_whose_clocks_are_wrong_agree(postgres_hub: Hub):
    """R12: five minutes fast and five minutes slow. Nothing runs too early, nobody is taken for dead."""
    clusters = [postgres_hub.cluster(workers=2, CHAOS_CLOCK_SKEW=skew).start() for skew in (300, -300)]
    tasks = [task for n in range(200) for task in postgres_hub.submit("chaos.work", _delay=n / 25)]
    postgres_hub.submit("chaos.work", 2, seconds=8)  # longer than the lease
    postgres_hub.drained(60)
    assert min(lateness(tasks)) >= 0
    assert statistics.median(lateness(tasks)) < 1
    assert set(Attempt.objects.values_list("outcome", flat=True)) <= {"completed", "released"}
    assert all(len(cluster.sessions()) == 3 for cluster in clusters)
    assert postgres_hub.verdict().is_clean, postgres_hub.verdict()


@pytest.fixture
def jump(on_postgres: str):
    """Set the clock of the test's database forward, or back, by so much from the true time."""
    with psycopg.connect(on_postgres, autocommit=True) as admin:
        name = admin.info.dbname
        admin.execute("CREATE TABLE wrong AS SELECT interval '0' AS by")
        for clock in ("clock_timestamp", "statement_timestamp"):
            admin.execute(
                f"CREATE FUNCTION public.{clock}() RETURNS timestamptz LANGUAGE sql AS"
                f" 'SELECT pg_catalog.{clock}() + by FROM public.wrong'"
            )
        admin.execute(f"ALTER DATABASE {name} SET search_path = public, pg_catalog")  # else ours is never found
    connection.close()

    def jump(by: dt.timedelta) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE wrong SET by = %s", [by])

    return jump


@pytest.mark.full
@pytest.mark.parametrize("hours", [1, -1])
def test_a_database_whose_clock_jumps_takes_nobody_for_dead(jump, postgres_hub: Hub, hours: int):
    """R12: all leases seem to have run out long ago; or to last for long."""
    true = database_now()
    cluster = postgres_hub.cluster(workers=2).start()
    (later,) = postgres_hub.submit("chaos.work", _delay=1800)
    running = [*postgres_hub.submit("chaos.work", 2, seconds=10), *postgres_hub.submit("chaos.async", 5, seconds=10)]
    until(lambda: Task.objects.filter(status="processing").count() == len(running), "all to run")
    jump(dt.timedelta(hours=hours))
    assert abs(database_now() - true - dt.timedelta(hours=hours)) < 60 * SECOND
    until(lambda: not Task.objects.filter(status="processing").exists(), "their end", 30)
    assert set(Attempt.objects.filter(task__in=running).values_list("outcome", flat=True)) == {"completed"}
    assert not Worker.objects.filter(lost_at__isnull=False).exists()
    assert cluster.is_complete
    jump(dt.timedelta(hours=1))
    until(lambda: Task.objects.filter(pk=later.pk, status="completed").exists(), "what is due by the new time", 20)
