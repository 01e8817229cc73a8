"""Steps that end at the same moment, in several threads with real transactions, on each database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from tasks.models import Task
from tasks.pipelines import verbs
from tasks.pipelines.advance import advance
from tasks.states import Actions
from tests.factories import claim, end
from tests.tasks.pipelines.factories import make_pipeline, now, plot, statuses, step, task_of

pytestmark = pytest.mark.usefixtures("every_database")

WIDTH = 4


def at_once(*works: Callable[[], Any]) -> None:
    """Each in a thread and on a connection of its own, all let go together."""
    meeting = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> None:
        try:
            meeting.wait(20)
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as threads:
        for future in [threads.submit(run, work) for work in works]:
            future.result(60)


def fan_in():
    parts = [f"part{n}" for n in range(WIDTH)]
    return make_pipeline(*(step(name) for name in parts), step("join", *parts)), parts


def complete(task: Task) -> Callable[[], Task]:
    return lambda: end(task, Actions.COMPLETE, result={"value": task.step})


def test_the_last_of_many_that_end_together_sees_them_all():
    pipeline, parts = fan_in()
    tasks = [claim(task_of(pipeline, name)) for name in parts]
    at_once(*map(complete, tasks))  # only the receivers notice: no sweep runs here
    assert statuses(pipeline) == dict.fromkeys(parts, "completed") | {"join": "pending"}
    assert Task.objects.filter(pipeline=pipeline, step="join").count() == 1
    assert sorted(plot(pipeline)) == sorted(
        ["PipelineStart", *(f"{event} {name}" for name in parts for event in ("StepStart", "StepComplete"))]
    )


def test_many_that_notice_the_same_do_it_once():
    pipeline = make_pipeline(step("a"), step("b", "a"))
    end(claim(task_of(pipeline, "a")), Actions.COMPLETE)
    at_once(*[lambda: advance(pipeline.pk)] * WIDTH)
    assert plot(pipeline) == ["PipelineStart", "StepStart a", "StepComplete a"]
    assert Task.objects.count() == 2


def test_a_cancel_beside_completions_neither_hangs_nor_starts_anything_after_it():
    pipeline, parts = fan_in()
    tasks = [claim(task_of(pipeline, name)) for name in parts]
    at_once(*map(complete, tasks), lambda: verbs.cancel(pipeline.pk, "alice"))
    ended = now(pipeline)
    assert ended.status == "canceled"
    assert ended.finished_at
    assert statuses(pipeline)["join"] in ("waiting", "canceled")
    assert plot(pipeline)[-1] == "PipelineError"
