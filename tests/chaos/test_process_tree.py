"""Each process of a pool is told to stop, or killed: running work is finished or rescued, and no orphan stays."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

import pytest

from tasks.models import Task
from tests.chaos.cluster import Cluster, until
from tests.chaos.conftest import Hub

AT_ONCE = 2.0  # seconds within which nothing is left of a pool whose head was killed


def signal_all(cluster: Cluster, number: signal.Signals) -> None:
    """What a terminal does, and a service manager."""
    for pid in cluster.tree():
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def nothing_is_left(cluster: Cluster, seconds: float = AT_ONCE) -> None:
    until(lambda: not cluster.remains(), "the end of every process", seconds, lambda: str(cluster.remains()))


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.full)])
def test_a_signal_to_every_process_lets_running_work_finish(sqlite_hub: Hub, number: signal.Signals):
    """Twice, as from somebody who is impatient, and the second time when the pool is known to stop."""
    cluster = sqlite_hub.cluster(TASKHUB_SHUTDOWN_GRACE_S=30).start()
    tasks = [*sqlite_hub.submit("chaos.work", 2, seconds=4), *sqlite_hub.submit("chaos.async", seconds=4)]
    until(lambda: Task.objects.filter(status="processing").count() == len(tasks), "all to run")
    for _ in range(4):
        signal_all(cluster, number)
        time.sleep(0.3)
    assert cluster.wait() == 0
    nothing_is_left(cluster)
    assert [task.status for task in Task.objects.all()] == ["completed"] * len(tasks), cluster.tail()
    assert [run.attempt for run in sqlite_hub.effects.read()] == [1] * len(tasks)


@pytest.mark.parametrize(
    ("head", "age"),
    [
        ("parent", "idle"),
        *(pytest.param("parent", age, marks=pytest.mark.full) for age in ("starting", "at work")),
        *(pytest.param("sentinel", age, marks=pytest.mark.full) for age in ("starting", "idle", "at work")),
    ],
)
def test_nothing_outlives_the_head_of_a_pool(sqlite_hub: Hub, head: str, age: str):
    """`kill -9`; not even the processes that have not handled their first ticket yet."""
    cluster = sqlite_hub.cluster()
    if age == "starting":
        cluster.launch()
        until(lambda: len(cluster.tree()) > 3, "the first workers")
    else:
        cluster.start()
    if age == "at work":
        sqlite_hub.submit("chaos.work", 2, seconds=60)
        until(lambda: Task.objects.filter(status="processing").count() == 2, "both to run")
    os.kill(getattr(cluster, head), signal.SIGKILL)
    nothing_is_left(cluster)


def test_a_pool_whose_supervisor_dies_while_it_starts_follows(sqlite_hub: Hub):
    """It notices when Django has found its apps, which takes longer on a busy machine."""
    hub = sqlite_hub.cluster(command="hub --no-web").launch()
    until(lambda: len(hub.tree()) > 1, "the pool's parent")
    os.kill(hub.parent, signal.SIGKILL)
    nothing_is_left(hub, seconds=20)
