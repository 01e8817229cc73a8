"""A process is killed at each numbered step between submission and publication; work goes on and nothing is lost."""

from __future__ import annotations

import pytest

from tasks import failpoints
from tasks.models import Task
from tests.chaos.cluster import until
from tests.chaos.conftest import Hub

SAMPLE = {"claim.committed", "run.end", "record.written", "publish.begin"}
IN_WORKERS = [name for name in failpoints.POINTS if name.split(".")[0] not in ("submit", "session", "report")]


@pytest.mark.parametrize(
    "point", [pytest.param(name, marks=[] if name in SAMPLE else [pytest.mark.full]) for name in IN_WORKERS]
)
def test_a_worker_that_dies_there_loses_nothing(hub: Hub, point: str):
    faults = f"{point}:kill:2" if not point.startswith("rescue") else f"{point}:kill,run.begin:kill"
    cluster = hub.cluster(TASKHUB_FAILPOINT=faults).start()
    tasks = hub.submit("chaos.work", 20)
    hub.drained()
    died = list(cluster.log.parent.glob("failpoint-*"))
    assert died, "the failpoint was never reached"
    assert {task.status for task in Task.objects.filter(pk__in=[task.pk for task in tasks])} == {"completed"}
    assert str(hub.verdict()) == str(type(hub.verdict())())


@pytest.mark.full
def test_a_database_that_fails_at_every_step_delays_and_loses_nothing(hub: Hub):
    faults = ",".join(f"{name}:raise:3" for name in ("claim.written", "record.written", "record.committed"))
    hub.cluster(TASKHUB_FAILPOINT=faults).start()
    hub.submit("chaos.work", 50)
    hub.drained()
    assert hub.verdict().is_clean, hub.verdict()


def test_poison_is_dead_lettered_and_takes_nobody_down(hub: Hub):
    hub.cluster().start()
    (poison,) = hub.submit("chaos.die")
    hub.submit("chaos.work", 50)
    hub.drained()
    poison.refresh_from_db()
    assert (poison.status, poison.error["type"], poison.crashes) == ("dead_lettered", "Poison", 3)
    assert Task.objects.filter(status="completed").count() == 50
    assert hub.verdict().is_clean, hub.verdict()


def test_the_checker_bites(hub: Hub):
    """A control: what a missing fence would do to the database is seen."""
    hub.cluster().start()
    (task,) = hub.submit("chaos.work")
    until(lambda: not hub.left(), "its end")
    Task.objects.filter(pk=task.pk).update(result={"run": "of somebody else"}, version=9)
    verdict = hub.verdict()
    assert (verdict.zombie_applied, verdict.event_gap) == (1, 1)
