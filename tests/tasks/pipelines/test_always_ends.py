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
from tasks.models import Pipeline, Task, TaskEvent
from tasks.models.pipelines import Statuses
from tasks.pipelines import verbs
from tasks.pipelines.advance import advance, sweep
from tasks.states import Actions, States
from tests.factories import end, make_worker
from tests.tasks.pipelines.factories import make_pipeline, now, statuses, step, told

A = Actions
ENDS = [A.COMPLETE, A.COMPLETE, A.COMPLETE, A.FAIL, A.BURY, A.SNOOZE, A.RELEASE]
OVER = {Statuses.COMPLETED, Statuses.FAILED, Statuses.CANCELED}


class Crash(Exception):
    """The process has died: what it did not commit has never happened."""


class Faults:
    """Does one thing after the other to some pipelines, as `chance` has it."""

    def __init__(self, chance: random.Random, *pipelines: Pipeline) -> None:
        self._chance, self._pipelines = chance, pipelines
        self._worker = make_worker()

    def one(self) -> None:
        moves = [self.claim, self.claim, self.end, self.end, self.notice, self.operate, self.operate_a_task]
        self._chance.choice([*moves, partial(self.crash, self._chance.choice(moves))])()

    def claim(self) -> None:
        lifecycle.promote()
        lifecycle.claim(Task.objects.ready()[:2], self._worker)

    def end(self) -> None:
        if running := list(Task.objects.processing().order_by("pk")):
            end(self._chance.choice(running), self._chance.choice(ENDS), result={"value": "x"})

    def notice(self) -> None:
        self._chance.choice([sweep, partial(advance, self._any.pk), self.notice_all])()

    def notice_all(self) -> None:
        advance(*(pipeline.pk for pipeline in self._pipelines))

    def crash(self, move: Callable[[], None]) -> None:
        with suppress(Crash), transaction.atomic():
            move()
            raise Crash

    def operate(self) -> None:
        verb = self._chance.choice([verbs.cancel, verbs.pause, verbs.resume, verbs.retry])
        self._allowed(verb, self._any.pk)

    def operate_a_task(self) -> None:
        verb = self._chance.choice([lifecycle.cancel, lifecycle.pause, lifecycle.resume, lifecycle.resurrect])
        self._allowed(verb, self._chance.choice(Task.objects.order_by("pk")).pk)

    @property
    def _any(self) -> Pipeline:
        return self._chance.choice(self._pipelines)

    def _allowed(self, verb: Callable[..., Any], pk: uuid.UUID) -> None:
        with suppress(Conflict), transaction.atomic():
            verb(pk, "alice")

    def let_it_end(self) -> None:
        """From now on workers work, sweeps sweep, and whoever paused something resumes it."""
        for _ in range(200):
            if not sweep() and not self._work():
                return
        raise AssertionError(f"They go on and on: {[statuses(pipeline) for pipeline in self._pipelines]}")

    def _work(self) -> bool:
        for pipeline in self._pipelines:
            if now(pipeline).status == Statuses.PAUSED:
                verbs.resume(pipeline.pk, "alice")
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
    graphs = [random_graph(chance) for _ in range(2)]
    pipelines = [make_pipeline(*(step(name, *graph[name], max_attempts=2) for name in graph)) for graph in graphs]
    faults = Faults(chance, *pipelines)
    for _ in range(chance.randint(0, 60)):
        faults.one()
    faults.let_it_end()
    for pipeline, graph in zip(pipelines, graphs, strict=True):
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
    assert Task.objects.filter(pipeline=pipeline).count() == sum(status != "waiting" for status in steps.values())
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
    begun: Counter[str] = Counter()
    for row in rows:
        name = row.data.get("step_name")
        match row.type:
            case "StepStartEvent":
                assert all(before in complete for before in graph[name])
                running.add(name)
                begun[name] += 1
            case "StepCompleteEvent":
                assert name in running
                complete.append(name)
            case "StepErrorEvent":
                assert name in running
                running.discard(name)
    assert begun <= lives(pipeline)
    assert sorted(complete) == sorted(name for name, status in statuses(pipeline).items() if status == States.COMPLETED)
    assert rows[-1].type == ("PipelineCompleteEvent" if pipeline.status == Statuses.COMPLETED else "PipelineErrorEvent")


def lives(pipeline: Pipeline) -> Counter[str]:
    """How often each step was claimed for the first time, or for the first time since a resurrection."""
    found: Counter[str] = Counter()
    for task in Task.objects.filter(pipeline=pipeline):
        actions = TaskEvent.objects.filter(task_id=task.pk).order_by("version").values_list("action", flat=True)
        of_each_life = " ".join(actions).split(A.RESURRECT)
        found[task.step or ""] = sum(A.CLAIM in life for life in of_each_life)
    return found
