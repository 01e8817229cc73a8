"""Bringing a pipeline to where its tasks are: the one place where the rows of pipelines and steps are written.

What is due follows from what the database holds: each step is compared with its task as it is now. So it does not
matter who notices that a task has changed, nor whether it is noticed twice: a receiver in the process that made the
change does at once, and a sweep finds what was left when that process died. The lock on the pipeline's row makes two
that notice at the same time take turns; each looks after its own commit, so the last one sees everything.
"""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from django.db import DatabaseError

from tasks import errors, lifecycle
from tasks.changes import Outcome
from tasks.database import database_now, insert, save, transactional
from tasks.lifecycle import HUB
from tasks.models import Pipeline, Step, Task, TaskEvent, Worker
from tasks.models.pipelines import WAITING, Statuses
from tasks.pipelines.graph import ends, ready
from tasks.pipelines.references import needed
from tasks.pipelines.story import Story
from tasks.pipelines.template import task_of
from tasks.states import Actions, States

logger = logging.getLogger(__name__)

RESULT_LIMIT = 256 * 1024  # bytes of JSON
AT_ONCE = 100  # pipelines that one sweep advances
# What is read of a task and written of the others; payloads and results are fetched where they are needed.
OF_PIPELINE = ("result", "status", "error", "current_step", "version", "started_at", "finished_at", "updated_at")
OF_TASK = ("version", "status", "requested", "tries", "error", "started_at", "finished_at")
OF_STEP = ("task", "seen", "status", "earlier_tries", "resumes", "started_at", "finished_at")
WORDS = {
    States.PENDING: "waits to run",
    States.PROCESSING: "runs",
    States.FAILED: "failed, and will be tried again",
    States.COMPLETED: "is complete",
    States.DEAD_LETTERED: "failed for good",
    States.PAUSED: "is paused",
    States.CANCELED: "is canceled",
}


def follow(event: TaskEvent) -> None:
    """A task has changed. If it is a step's, its pipeline is brought up to date."""
    if not (event.pipeline_id and event.task_id and event.type == TaskEvent.Types.UPDATED):
        return
    if Step.objects.filter(task_id=event.task_id, seen__lt=event.version).exists():
        _try(event.pipeline_id)


def sweep() -> int:
    """Advance the pipelines that nobody has brought up to date. Returns how many those were."""
    ids = {*Step.objects.behind().values_list("pipeline_id", flat=True)[:AT_ONCE]}
    ids |= {*Pipeline.objects.idle().values_list("pk", flat=True)[:AT_ONCE]}
    return sum(_try(pipeline_id) for pipeline_id in random.sample(sorted(ids), len(ids)))


def _try(pipeline_id: uuid.UUID) -> bool:
    """One that cannot be advanced now keeps neither the others nor the caller from going on; a sweep comes again."""
    try:
        return advance(pipeline_id)
    except DatabaseError as error:
        logger.warning("Pipeline %s waits for the database (%s).", pipeline_id, str(error).strip())
    except Exception:
        logger.exception("Pipeline %s could not be advanced.", pipeline_id)
    return False


@transactional
def advance(pipeline_id: uuid.UUID) -> bool:
    """Do all that is due for one pipeline. False when nothing was."""
    return Round.of(pipeline_id).finish()


@transactional
def start(pipeline: Pipeline, steps: Sequence[Step], actor: str) -> None:
    """Store a new pipeline, and create the tasks of the steps that depend on nothing."""
    pipeline.created_at = pipeline.updated_at = database_now()
    insert([pipeline])
    insert(steps)
    Round(pipeline, list(pipeline.steps.order_by("index")), actor).finish()


class Round:
    """One look at a pipeline, whose row is locked, and all that follows from it."""

    def __init__(self, pipeline: Pipeline, steps: list[Step], actor: str = HUB) -> None:
        self.pipeline, self.steps, self.actor = pipeline, steps, actor
        self.now = database_now()
        self.messages: list[str] = []
        self._story = Story(pipeline, self.now, actor)
        self._before = self._visible()
        self._touched: list[Step] = []

    @classmethod
    def of(cls, pipeline_id: uuid.UUID, actor: str = HUB) -> Round:
        """Raises `Pipeline.DoesNotExist`."""
        pipeline = Pipeline.objects.select_for_update().defer("input", "result").get(pk=pipeline_id)
        read = ("pipeline", "index", "name", "depends_on", *OF_STEP, *(f"task__{name}" for name in OF_TASK))
        steps = pipeline.steps.select_related("task").only(*read).order_by("index")
        return cls(pipeline, list(steps), actor)

    def finish(self) -> bool:
        """Catch up with the tasks, start what may start, and write everything. False when nothing was to be written."""
        for step in self.steps:
            if step.task and step.task.version > step.seen:
                self._look(step, step.task)
        self._begin_ready()
        over = self._conclude()
        if self._visible() != self._before:
            self._story.progressed("; ".join(self.messages))
            self.pipeline.updated_at = self.now
        if over:
            over()
        return self._write()

    def touch(self, step: Step) -> None:
        """It is to be written."""
        if step not in self._touched:
            self._touched.append(step)

    def reopen(self) -> None:
        """It goes on, after it was over or canceled."""
        pipeline = self.pipeline
        pipeline.status = Statuses.PROCESSING if pipeline.started_at else Statuses.PENDING
        pipeline.finished_at = pipeline.error = None

    def _visible(self) -> tuple[Any, ...]:
        """What it is news to see changed. That a step may run now is none; that it runs, is."""
        steps = [(States.PENDING if step.status == WAITING else step.status, step.started_at) for step in self.steps]
        return self.pipeline.status, self.pipeline.current_step, steps

    # -- what has happened to the tasks ----------------------------------------------------------------------------

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
            self._story.pipeline_started()
        self._story.step_started(step)

    def _ended(self, step: Step, task: Task) -> None:
        step.finished_at = task.finished_at
        step.earlier_tries = task.tries
        if task.status == States.COMPLETED:
            self._story.step_completed(step, self._results([step.name])[step.name])
        elif task.status == States.DEAD_LETTERED:
            self._story.step_failed(step, task.error or {})

    def _let_go_on(self, step: Step, task: Task) -> None:
        """The pipeline was resumed before this task had come to its halt."""
        step.resumes = False
        if task.status == States.PAUSED and self.pipeline.is_live:
            step.task = lifecycle.resume(task.pk, self.actor)
            step.status, step.seen = step.task.status, step.task.version

    def _results(self, names: Iterable[str]) -> dict[str, Any]:
        ids = {step.task_id: step.name for step in self.steps if step.task_id and step.name in set(names)}
        return {ids[pk]: result for pk, result in Task.objects.filter(pk__in=ids).values_list("pk", "result")}

    # -- what may start now ----------------------------------------------------------------------------------------

    def _begin_ready(self) -> None:
        if not self.pipeline.is_live or not (steps := self._ready()):
            return
        templates = dict(Step.objects.filter(pk__in=[step.pk for step in steps]).values_list("pk", "template"))
        results = self._results(set().union(*(needed(template["payload"]) for template in templates.values())))
        made = [task_of(templates[step.pk], self.pipeline, step, results, self.now) for step in steps]
        lifecycle.create([task for task, _ in made], self.actor)
        for step, (task, refusal) in zip(steps, made, strict=True):
            self._link(step, bury(task, refusal) if refusal else task)

    def _ready(self) -> list[Step]:
        graph = {step.name: step.depends_on for step in self.steps}
        complete = {step.name for step in self.steps if step.status == States.COMPLETED}
        may = set(ready(graph, complete, {step.name for step in self.steps if step.task_id}))
        return [step for step in self.steps if step.name in may]

    def _link(self, step: Step, task: Task) -> None:
        step.task, step.status, step.seen = task, States.PENDING, 1
        self.touch(step)
        if task.version > step.seen:
            self._look(step, task)

    # -- where that leaves the pipeline ----------------------------------------------------------------------------

    def _conclude(self) -> Callable[[], None] | None:
        """Set its status; when it is over, return how to tell of it."""
        complete = sum(step.status == States.COMPLETED for step in self.steps)
        self.pipeline.current_step = complete
        if self.pipeline.is_over or any(step.is_active for step in self.steps):
            return None
        if complete == len(self.steps):
            return self._complete()
        return None if self.pipeline.status == Statuses.PAUSED and self._ready() else self._fail()

    def _complete(self) -> Callable[[], None]:
        pipeline = self.pipeline
        pipeline.status, pipeline.error = Statuses.COMPLETED, None
        pipeline.finished_at = max(step.finished_at or self.now for step in self.steps)
        pipeline.result = self._result()
        return self._story.pipeline_completed

    def _result(self) -> Any:
        """Of a sequential pipeline that of its last step; of others {step: result} of those that no other depends on.

        None when that is larger than a task's result may be: each step's own is on its task.
        """
        last = self.steps[-1].name
        if self.pipeline.pipeline_type == Pipeline.Types.SEQUENTIAL:
            return self._results([last])[last]
        results = self._results(ends({step.name: step.depends_on for step in self.steps}))
        return results if len(msgspec.json.encode(results)) <= RESULT_LIMIT else None

    def _fail(self) -> Callable[[], None]:
        """Nothing more can run: some step failed, or the pipeline was canceled."""
        pipeline = self.pipeline
        pipeline.finished_at = self.now
        if pipeline.status != Statuses.CANCELED:
            pipeline.status, pipeline.error = Statuses.FAILED, self._error()
        return self._story.pipeline_failed

    def _error(self) -> dict[str, Any]:
        """That of the first step that failed."""
        failed = [step for step in self.steps if step.has_failed]
        step = min(failed, key=lambda step: (step.status == States.CANCELED, step.finished_at or self.now, step.index))
        if step.status == States.DEAD_LETTERED and step.task and step.task.error:
            return step.task.error | {"step": step.name}
        detail = f"The step {step.name} was canceled."
        return {"type": "StepCanceled", "detail": detail, "fingerprint": "", "step": step.name}

    # -- writing ---------------------------------------------------------------------------------------------------

    def _write(self) -> bool:
        if not self._touched and self._visible() == self._before:
            return False
        save(self._touched, OF_STEP)
        save([self.pipeline], OF_PIPELINE if "result" not in self.pipeline.get_deferred_fields() else OF_PIPELINE[1:])
        self._story.write()
        return True


def bury(task: Task, reason: str) -> Task:
    """Dead-letter a task that can never run, by the steps that any task takes there."""
    (claimed,) = lifecycle.claim(Task.objects.filter(pk=task.pk), Worker(host=HUB, pid=0))
    assert claimed.lease is not None
    error = errors.describe(task.name, "InvalidPayload", reason)
    (buried,) = lifecycle.record([Outcome(task.pk, claimed.lease, Actions.BURY, error=error)], HUB)
    return buried
