"""R15 of the fault tests: whatever chance does to three workers, nothing is lost, and nothing stale is applied.

`SIMULATION_SEED=7 pytest tests/model/test_simulation.py -k seed_of_choice` plays one seed again.
"""

from __future__ import annotations

import os
import random
import sys
from dataclasses import replace

import pytest

from tasks import lifecycle
from tasks.models import Attempt, QueueCount, Task, TaskEvent, Worker
from tests.model.simulation import World

pytestmark = pytest.mark.django_db(transaction=True)
RECORD = lifecycle.record


@pytest.fixture(autouse=True)
def lease(settings):
    settings.TASKHUB_HEARTBEAT_S, settings.TASKHUB_LEASE_S = 5, 15


def play(seed: int, seconds: float = 120) -> World:
    """A world that came to a clean end. One that did not tells its seed and its last moments."""
    world = World(seed)
    try:
        verdict = world.run(seconds)
        assert verdict.is_clean, verdict
    except BaseException:
        sys.stderr.write("\n".join([*world.trace[-40:], f"SIMULATION_SEED={seed} ({world.steps} steps)\n"]))
        raise
    return world


def forget_everything() -> None:
    for model in (TaskEvent, Attempt, Task, Worker, QueueCount):
        model.objects.all().delete()


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_and_nothing_stale_is_applied(seed):
    world = play(seed)
    assert world.steps > 1000
    assert {"freezes", "dies", "is", "has"} <= {line.split()[3] for line in world.trace}
    assert Attempt.objects.filter(late__isnull=False).exists()
    assert Task.objects.filter(status="completed").count() > len(world.acked) / 3


def test_a_seed_says_everything_that_happens():
    first = play(3, seconds=30).trace
    forget_everything()
    assert play(3, seconds=30).trace == first


def test_a_failure_tells_its_seed(monkeypatch, capsys):
    monkeypatch.setattr(World, "_submit", lambda world: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        play(7)
    assert "SIMULATION_SEED=7 " in capsys.readouterr().err


def test_without_the_fence_it_bites(monkeypatch):
    """The control: whoever reports an end is taken for the one who holds the task."""

    def unfenced(outcomes, actor):
        present = dict(Task.objects.processing().values_list("pk", "lease"))
        return RECORD(
            [replace(outcome, lease=present.get(outcome.task_id, outcome.lease)) for outcome in outcomes], actor
        )

    monkeypatch.setattr(lifecycle, "record", unfenced)
    for seed in range(5, 25):  # not every world has a zombie that comes just then
        if World(seed).run(120).zombie_applied:
            return
        forget_everything()
    raise AssertionError("Nobody has noticed that there is no fence.")


def test_the_seed_of_choice():
    if "SIMULATION_SEED" not in os.environ:
        pytest.skip("SIMULATION_SEED plays one seed again")
    play(int(os.environ["SIMULATION_SEED"]))


@pytest.mark.chaos
@pytest.mark.full
@pytest.mark.parametrize("turn", range(20))
def test_any_seed(turn):
    play(random.SystemRandom().randrange(10**9), seconds=600)
