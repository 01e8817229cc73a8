"""Bringing pipelines to where their tasks are: the one place where the rows of pipelines and steps are written.

What is due follows from what the database holds: each step is compared with its task as it is now. So it does not
matter who notices that a task has changed, nor whether it is noticed twice: a receiver in the process that made the
change does at once, and a sweep finds what was left when that process died. The locks on the pipelines' rows make two
that notice at the same time take turns; each looks after its own commit, so the last one sees everything.

A worker ends many tasks by one transaction: their pipelines are read, looked at and written together, too.
"""

from __future__ import annotations

import logging
import random
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from django.db import InterfaceError, OperationalError

from tasks import errors, events, lifecycle
from tasks.changes import Outcome
from tasks.database import database_now, transactional
from tasks.lifecycle import HUB
from tasks.models import Pipeline, Step, Task, TaskEvent, Worker
from tasks.pipelines.references import needed
from tasks.pipelines.round import Results, Round
from tasks.pipelines.template import task_of
from tasks.rows import insert, save
from tasks.states import Actions, States

logger = logging.getLogger(__name__)

TOGETHER = 50  # pipelines that one transaction advances
AT_ONCE = 500  # that one sweep does
# What is read of a task and written of the others; payloads and results are fetched where they are needed.
OF_PIPELINE = ("result", "status", "error", "current_step", "version", "started_at", "finished_at", "updated_at")
OF_TASK = ("version", "status", "requested", "tries", "error", "started_at", "finished_at")
OF_STEP = ("task", "seen", "status", "earlier_tries", "resumes", "started_at", "finished_at")


# -- who notices ---------------------------------------------------------------------------------------------------


def follow(rows: Iterable[TaskEvent]) -> None:
    """Tasks have changed. The pipelines of those that are steps are brought up to date."""
    changed = [row.task_id for row in rows if row.pipeline_id and row.task_id and row.type == TaskEvent.Types.UPDATED]
    if changed:
        _advance_all(set(Step.objects.behind().filter(task__in=changed).values_list("pipeline_id", flat=True)))


def sweep() -> int:
    """Advance the pipelines that nobody has brought up to date. Returns how many those were."""
    ids = {*Step.objects.behind().values_list("pipeline_id", flat=True)[:AT_ONCE]}
    ids |= {*Pipeline.objects.idle().values_list("pk", flat=True)[:AT_ONCE]}
    return _advance_all(ids)


def _advance_all(ids: Collection[uuid.UUID]) -> int:
    """Some at a time, in any order: who comes to the same ones at the same moment shall not wait for each of them."""
    shuffled, done = random.sample(sorted(ids), len(ids)), 0
    try:
        for first in range(0, len(shuffled), TOGETHER):
            done += _try(shuffled[first : first + TOGETHER])
    except (OperationalError, InterfaceError) as error:  # it would keep each of the others waiting, too
        logger.warning("Pipelines wait for the database (%s).", str(error).strip())
    return done


def _try(ids: list[uuid.UUID]) -> int:
    """One that cannot be advanced keeps neither the others nor the caller from going on; a sweep comes again."""
    try:
        return advance(*ids)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        if len(ids) > 1:
            return sum(_try([id]) for id in ids)
        logger.exception("Pipeline %s could not be advanced.", ids[0])
    return 0


# -- what they do --------------------------------------------------------------------------------------------------


@transactional
def advance(*pipeline_ids: uuid.UUID) -> int:
    """Do all that is due for these pipelines. Returns for how many of them something was."""
    return finish(locked(pipeline_ids))


@transactional
def start(pipeline: Pipeline, steps: Sequence[Step], actor: str) -> None:
    """Store a new pipeline, and create the tasks of the steps that depend on nothing."""
    pipeline.created_at = pipeline.updated_at = database_now()
    insert([pipeline])
    insert(steps)
    finish([Round(pipeline, list(pipeline.steps.order_by("index")), pipeline.created_at, actor, Results())])


def locked(pipeline_ids: Collection[uuid.UUID], actor: str = HUB) -> list[Round]:
    """The pipelines as they are now, locked, in the order of their ids. Those that do not exist are left out."""
    rows = Pipeline.objects.select_for_update().defer("input", "result").filter(pk__in=pipeline_ids)
    pipelines = list(rows.order_by("pk"))
    now, results = database_now(), Results()
    steps = defaultdict(list)
    read = ("pipeline", "index", "name", "depends_on", *OF_STEP, *(f"task__{name}" for name in OF_TASK))
    for step in Step.objects.filter(pipeline__in=pipelines).select_related("task").only(*read).order_by("index"):
        steps[step.pipeline_id].append(step)
    return [Round(pipeline, steps[pipeline.pk], now, actor, results) for pipeline in pipelines]


def finish(rounds: Sequence[Round]) -> int:
    """Catch up with the tasks, start what may start, and write everything. Returns how many pipelines were written."""
    _read(rounds)
    for round in rounds:
        round.look()
    _begin([(round, step) for round in rounds if round.pipeline.is_live for step in round.ready])
    for round in rounds:
        round.conclude()
    return _write([round for round in rounds if round.is_changed])


def _read(rounds: Sequence[Round]) -> None:
    """At once what each of them would ask for: the results of what has completed, and the inputs."""
    complete = [(round, step) for round in rounds for step, task in round.behind if task.status == States.COMPLETED]
    if complete:
        complete[0][0].results.read(step for _, step in complete)
    wanted = {round.pipeline.pk: round.pipeline for round, _ in complete}
    wanted |= {round.pipeline.pk: round.pipeline for round in rounds if round.pipeline.started_at is None}
    lacking = {pk for pk, pipeline in wanted.items() if "input" in pipeline.get_deferred_fields()}
    if lacking:
        for pk, value in Pipeline.objects.filter(pk__in=lacking).values_list("pk", "input"):
            wanted[pk].input = value


def _begin(starts: Sequence[tuple[Round, Step]]) -> None:
    """Create the tasks of the steps whose turn has come."""
    if not starts:
        return
    templates = dict(Step.objects.filter(pk__in=[step.pk for _, step in starts]).values_list("pk", "template"))
    made = []
    for round, step in starts:
        results = round.results_of(needed(templates[step.pk]["payload"]))
        made.append(task_of(templates[step.pk], round.pipeline, step, results, round.now))
    lifecycle.create([task for task, _ in made], starts[0][0].actor)
    for (round, step), (task, refusal) in zip(starts, made, strict=True):
        round.link(step, bury(task, refusal) if refusal else task)


def _write(rounds: Sequence[Round]) -> int:
    if not rounds:
        return 0
    save([step for round in rounds for step in round.touched.values()], OF_STEP)
    pipelines = [round.pipeline for round in rounds]
    with_result = [pipeline for pipeline in pipelines if "result" not in pipeline.get_deferred_fields()]
    save(with_result, OF_PIPELINE)
    save([pipeline for pipeline in pipelines if pipeline not in with_result], OF_PIPELINE[1:])
    events.append([row for round in rounds for row in round.story.rows])
    return len(rounds)


def bury(task: Task, reason: str) -> Task:
    """Dead-letter a task that can never run, by the steps that any task takes there."""
    (claimed,) = lifecycle.claim(Task.objects.filter(pk=task.pk), Worker(host=HUB, pid=0))
    assert claimed.lease is not None
    error = errors.describe(task.name, "InvalidPayload", reason)
    (buried,) = lifecycle.record([Outcome(task.pk, claimed.lease, Actions.BURY, error=error)], HUB)
    return buried
