"""Whatever fails and whoever dies, a pipeline ends: random graphs, random faults, random moments.

Nothing notices a change by itself here, for these transactions never commit: each time a process might have died before
its receivers ran. Only what a test does, and sweeps, bring a pipeline on.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from django.db import transaction

from tasks import lifecycle
from tasks.exceptions import Conflict
from tasks.models import Pipeline, Task
from tasks.models.pipelines import Statuses
from tasks.pipelines import verbs
from tasks.pipelines.advance import advance, sweep
from tasks.states import Actions, States
from tests.factories import end, make_worker
from tests.tasks.pipelines.factories import make_pipeline, now, statuses, step, told

A = Actions
ENDS = [A.COMPLETE, A.COMPLETE, A.COMPLETE, A.FAIL, A.BURY, A.SNOOZE, A.RELEASE]
OVER = {Statuses.COMPLETED, Statuses.FAILED, Statuses.CANCELED}


class Faults:
    """Does one thing after the other to a pipeline, as `chance` has it."""

    def __init__(self, chance: random.Random, pipeline: Pipeline) -> None:
        self._chance, self._pipeline = chance, pipeline
        self._worker = make_worker()

    def one(self) -> None:
        moves = [self.claim, self.claim, self.end, self.end, self.notice, self.operate, self.operate_a_task]
        self._chance.choice(moves)()

    def claim(self) -> None:
        lifecycle.promote()
        lifecycle.claim(Task.objects.ready()[:2], self._worker)

    def end(self) -> None:
        if running := list(Task.objects.processing().order_by("pk")):
            end(self._chance.choice(running), self._chance.choice(ENDS), result={"value": "x"})

    def notice(self) -> None:
        self._chance.choice([sweep, partial(advance, self._pipeline.pk)])()

    def operate(self) -> None:
        verb = self._chance.choice([verbs.cancel, verbs.pause, verbs.resume, verbs.retry])
        self._allowed(verb, self._pipeline.pk)

    def operate_a_task(self) -> None:
        verb = self._chance.choice([lifecycle.cancel, lifecycle.pause, lifecycle.resume, lifecycle.resurrect])
        self._allowed(verb, self._chance.choice(Task.objects.order_by("pk")).pk)

    def _allowed(self, verb: Callable[..., Any], pk: uuid.UUID) -> None:
        with suppress(Conflict), transaction.atomic():
            verb(pk, "alice")

    def let_it_end(self) -> None:
        """From now on workers work, sweeps sweep, and whoever paused something resumes it."""
        for _ in range(200):
            if not sweep() and not self._work():
                return
        raise AssertionError(f"The pipeline goes on and on: {statuses(self._pipeline)}")

    def _work(self) -> bool:
        if now(self._pipeline).status == Statuses.PAUSED:
            verbs.resume(self._pipeline.pk, "alice")
        for task in Task.objects.filter(status=States.PAUSED):
            lifecycle.resume(task.pk, "bob")
        Task.objects.waiting().update(ready=True)  # time passes
        lifecycle.claim(Task.objects.ready(), self._worker)
        running = list(Task.objects.processing())
        for task in running:
            end(task, A.COMPLETE, result={"value": task.step})
        return bool(running)


def random_graph(chance: random.Random) -> dict[str, list[str]]:
    """Each step depends on some of those that were drawn before it."""
    names = [f"s{number}" for number in range(chance.randint(1, 8))]
    return {name: chance.sample(names[:i], chance.randint(0, min(i, 3))) for i, name in enumerate(names)}


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(20))
def test_it_ends_and_each_step_completes_once(seed):
    chance = random.Random(seed)
    graph = random_graph(chance)
    pipeline = make_pipeline(*(step(name, *befores, max_attempts=2) for name, befores in graph.items()))
    faults = Faults(chance, pipeline)
    for _ in range(chance.randint(0, 40)):
        faults.one()
    faults.let_it_end()
    check_end(now(pipeline), graph)
    check_story(now(pipeline), graph)


def check_end(pipeline: Pipeline, graph) -> None:
    """It is over, and as its steps are: nothing that could run was left out."""
    steps = statuses(pipeline)
    complete = {name for name, status in steps.items() if status == States.COMPLETED}
    assert pipeline.status in OVER
    assert pipeline.finished_at
    assert (pipeline.status == Statuses.COMPLETED) == (len(complete) == len(graph))
    assert pipeline.current_step == len(complete)
    assert Task.objects.count() == sum(status != "waiting" for status in steps.values())
    for name, status in steps.items():
        may_run = all(before in complete for before in graph[name])
        assert status != "waiting" or not may_run or pipeline.status == Statuses.CANCELED
        assert status == "waiting" or may_run


def check_story(pipeline: Pipeline, graph) -> None:
    """The events come in order, and tell of each step no more than what can have happened to it."""
    rows = told(pipeline)
    versions = [row.version for row in told(pipeline, progress=True)]
    assert versions == list(range(2, 2 + len(versions)))
    assert Counter(row.type for row in rows)["PipelineStartEvent"] == (1 if pipeline.started_at else 0)
    complete: list[str] = []
    running: set[str] = set()
    for row in rows:
        name = row.data.get("step_name")
        match row.type:
            case "StepStartEvent":
                assert all(before in complete for before in graph[name])
                running.add(name)
            case "StepCompleteEvent":
                assert name in running
                complete.append(name)
            case "StepErrorEvent":
                assert name in running
                running.discard(name)
    assert sorted(complete) == sorted(name for name, status in statuses(pipeline).items() if status == States.COMPLETED)
    assert rows[-1].type == ("PipelineCompleteEvent" if pipeline.status == Statuses.COMPLETED else "PipelineErrorEvent")
