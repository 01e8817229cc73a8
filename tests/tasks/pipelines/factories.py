"""Pipelines for tests, and short ways to let their steps end as a test wants it."""

from __future__ import annotations

from typing import Any

from tasks import lifecycle
from tasks.models import Pipeline, Step, Task, TaskEvent
from tasks.pipelines.advance import advance
from tasks.pipelines.submission import create
from tasks.states import Actions
from tests.factories import claim, end

A = Actions


def step(name: str, *depends_on: str, handler: str = "test.echo", **fields: Any) -> dict[str, Any]:
    """A step as a request has it."""
    return {"name": name, "handler": handler, "depends_on": list(depends_on), **fields}


def make_pipeline(*steps: dict[str, Any], owner: Any = None, **fields: Any) -> Pipeline:
    """A stored pipeline; a dag unless `fields` say otherwise. Without `steps` it is extract → load."""
    steps = steps or (step("extract"), step("load", "extract"))
    return create({"name": "nightly", "pipeline_type": "dag", "steps": list(steps)} | fields, owner)


def task_of(pipeline: Pipeline, name: str) -> Task:
    return Task.objects.get(pipeline=pipeline, step=name)


def step_of(pipeline: Pipeline, name: str) -> Step:
    return Step.objects.get(pipeline=pipeline, name=name)


def begin(pipeline: Pipeline, name: str) -> Task:
    """A worker has claimed the step's task, and the pipeline knows."""
    task = claim(task_of(pipeline, name))
    advance(pipeline.pk)
    return task


def run(pipeline: Pipeline, *names: str, action: Actions = A.COMPLETE, **fields: Any) -> None:
    """The steps end by `action`, one after the other, and the pipeline knows of each."""
    for name in names:
        lifecycle.promote()
        task = task_of(pipeline, name)
        task = task if task.lease else claim(task)
        end(task, action, **{"result": {"value": name}} | fields if action == A.COMPLETE else fields)
        advance(pipeline.pk)


def now(pipeline: Pipeline) -> Pipeline:
    return Pipeline.objects.get(pk=pipeline.pk)


def statuses(pipeline: Pipeline) -> dict[str, str]:
    """Each step's, by name."""
    return dict(pipeline.steps.order_by("index").values_list("name", "status"))


def told(pipeline: Pipeline, *, progress: bool = False) -> list[TaskEvent]:
    """The pipeline's own events so far."""
    rows = TaskEvent.objects.filter(pipeline_id=pipeline.pk, task_id=None).order_by("id")
    return list(rows if progress else rows.exclude(type=TaskEvent.Types.PIPELINE_PROGRESS))


def plot(pipeline: Pipeline) -> list[str]:
    """The events in short: `StepStart extract`."""
    return [f"{row.type.removesuffix('Event')} {row.data.get('step_name', '')}".strip() for row in told(pipeline)]
