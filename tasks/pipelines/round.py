"""One look at one pipeline, whose row is locked: what its tasks have come to, and all that follows from it.

Nothing is written here but the tasks of resumed steps; `tasks.pipelines.advance` writes, for many pipelines at once.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from tasks import lifecycle
from tasks.models import Pipeline, Step, Task
from tasks.models.pipelines import WAITING, Statuses
from tasks.pipelines.graph import ends, ready
from tasks.pipelines.story import Story
from tasks.states import States

RESULT_LIMIT = 256 * 1024  # bytes of JSON
WORDS = {
    States.PENDING: "waits to run",
    States.PROCESSING: "runs",
    States.FAILED: "failed, and will be tried again",
    States.COMPLETED: "is complete",
    States.DEAD_LETTERED: "failed for good",
    States.PAUSED: "is paused",
    States.CANCELED: "is canceled",
}


class Results:
    """What steps have returned, each read once, and many together."""

    def __init__(self) -> None:
        self._known: dict[uuid.UUID, Any] = {}

    def read(self, steps: Iterable[Step]) -> None:
        """Those that will be asked for."""
        if missing := {step.task_id for step in steps if step.task_id} - self._known.keys():
            self._known.update(Task.objects.filter(pk__in=missing).values_list("pk", "result"))

    def of(self, steps: Iterable[Step]) -> dict[str, Any]:
        """By the names of the steps, which have tasks and belong to one pipeline."""
        steps = list(steps)
        self.read(steps)
        return {step.name: self._known[step.task_id] for step in steps if step.task_id}


class Round:
    def __init__(self, pipeline: Pipeline, steps: list[Step], now: dt.datetime, actor: str, results: Results) -> None:
        self.pipeline, self.steps, self.now, self.actor = pipeline, steps, now, actor
        self.messages: list[str] = []
        self.touched: dict[int, Step] = {}
        self.story = Story(pipeline, now, actor)
        self.results = results
        self._before = self._visible()

    def touch(self, step: Step) -> None:
        """It is to be written."""
        self.touched[step.pk] = step

    def reopen(self) -> None:
        """It goes on, after it was over or canceled."""
        pipeline = self.pipeline
        pipeline.status = Statuses.PROCESSING if pipeline.started_at else Statuses.PENDING
        pipeline.finished_at = pipeline.error = None

    @property
    def is_changed(self) -> bool:
        return bool(self.touched) or self._visible() != self._before

    def _visible(self) -> tuple[Any, ...]:
        """What it is news to see changed. That a step may run now is none; that it runs, is."""
        steps = [(States.PENDING if step.status == WAITING else step.status, step.started_at) for step in self.steps]
        return self.pipeline.status, self.pipeline.current_step, steps

    # -- what has happened to the tasks ----------------------------------------------------------------------------

    @property
    def behind(self) -> list[tuple[Step, Task]]:
        """The steps whose tasks have changed since the last look."""
        return [(step, step.task) for step in self.steps if step.task and step.task.version > step.seen]

    def look(self) -> None:
        """Catch up with the tasks."""
        for step, task in self.behind:
            self._look(step, task)

    def _look(self, step: Step, task: Task) -> None:
        if step.has_failed:
            self._revive(step)
        if step.started_at is None and task.tries > step.earlier_tries:
            self._began(step, task)
        if step.status != task.status:
            self.messages.append(f"{step.name} {WORDS[States(task.status)]}")
        step.status, step.seen = task.status, task.version
        if task.is_finished:
            self._ended(step, task)
        if step.resumes and task.status != States.PROCESSING:
            self._let_go_on(step, task)
        self.touch(step)

    def _revive(self, step: Step) -> None:
        """Only a resurrection changes a task that was dead-lettered or canceled."""
        step.started_at = step.finished_at = None
        if self.pipeline.status in (Statuses.FAILED, Statuses.CANCELED):
            self.reopen()

    def _began(self, step: Step, task: Task) -> None:
        step.started_at = task.started_at or self.now
        if self.pipeline.status == Statuses.PENDING:
            self.pipeline.status = Statuses.PROCESSING
        if self.pipeline.started_at is None:
            self.pipeline.started_at = step.started_at
            self.story.pipeline_started()
        self.story.step_started(step)

    def _ended(self, step: Step, task: Task) -> None:
        step.finished_at = task.finished_at
        step.earlier_tries = task.tries
        if task.status == States.COMPLETED:
            self.story.step_completed(step, self.results.of([step])[step.name])
        elif task.status == States.DEAD_LETTERED:
            self.story.step_failed(step, task.error or {})

    def _let_go_on(self, step: Step, task: Task) -> None:
        """The pipeline was resumed before this task had come to its halt."""
        step.resumes = False
        if task.status == States.PAUSED and self.pipeline.is_live:
            step.task = lifecycle.resume(task.pk, self.actor)
            step.status, step.seen = step.task.status, step.task.version

    # -- what may start now ----------------------------------------------------------------------------------------

    @property
    def ready(self) -> list[Step]:
        """The steps whose turn has come."""
        graph = {step.name: step.depends_on for step in self.steps}
        complete = {step.name for step in self.steps if step.status == States.COMPLETED}
        may = set(ready(graph, complete, {step.name for step in self.steps if step.task_id}))
        return [step for step in self.steps if step.name in may]

    def link(self, step: Step, task: Task) -> None:
        """The step has its task now."""
        step.task, step.status, step.seen = task, States.PENDING, 1
        self.touch(step)
        if task.version > step.seen:
            self._look(step, task)

    def results_of(self, names: Iterable[str]) -> dict[str, Any]:
        wanted = set(names)
        return self.results.of(step for step in self.steps if step.name in wanted)

    # -- where that leaves the pipeline ----------------------------------------------------------------------------

    def conclude(self) -> None:
        """Set its status, and tell what can be seen of it."""
        tell_of_the_end = self._conclude()
        if self._visible() != self._before:
            self.story.progressed("; ".join(self.messages))
            self.pipeline.updated_at = self.now
        if tell_of_the_end:
            tell_of_the_end()

    def _conclude(self) -> Callable[[], None] | None:
        complete = sum(step.status == States.COMPLETED for step in self.steps)
        self.pipeline.current_step = complete
        if self.pipeline.is_over or any(step.is_active for step in self.steps):
            return None
        if complete == len(self.steps):
            return self._complete()
        return None if self.pipeline.status == Statuses.PAUSED and self.ready else self._fail()

    def _complete(self) -> Callable[[], None]:
        pipeline = self.pipeline
        pipeline.status, pipeline.error = Statuses.COMPLETED, None
        pipeline.finished_at = max(step.finished_at or self.now for step in self.steps)
        pipeline.result = self._result()
        return self.story.pipeline_completed

    def _result(self) -> Any:
        """Of a sequential pipeline that of its last step; of others {step: result} of those that no other depends on.

        None when that is larger than a task's result may be: each step's own is on its task.
        """
        last = self.steps[-1].name
        if self.pipeline.pipeline_type == Pipeline.Types.SEQUENTIAL:
            return self.results_of([last])[last]
        results = self.results_of(ends({step.name: step.depends_on for step in self.steps}))
        return results if len(msgspec.json.encode(results)) <= RESULT_LIMIT else None

    def _fail(self) -> Callable[[], None]:
        """Nothing more can run: some step failed, or the pipeline was canceled."""
        pipeline = self.pipeline
        pipeline.finished_at = self.now
        if pipeline.status != Statuses.CANCELED:
            pipeline.status, pipeline.error = Statuses.FAILED, self._error()
        return self.story.pipeline_failed

    def _error(self) -> dict[str, Any]:
        """That of the first step that failed."""
        failed = [step for step in self.steps if step.has_failed]
        step = min(failed, key=lambda step: (step.status == States.CANCELED, step.finished_at or self.now, step.index))
        if step.status == States.DEAD_LETTERED and step.task and step.task.error:
            return step.task.error | {"step": step.name}
        detail = f"The step {step.name} was canceled."
        return {"type": "StepCanceled", "detail": detail, "fingerprint": "", "step": step.name}
