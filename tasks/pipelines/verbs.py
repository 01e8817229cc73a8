"""What operators do to a pipeline. Its tasks are moved by their own verbs, as far as their states allow it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress

from tasks import lifecycle
from tasks.database import transactional
from tasks.exceptions import Conflict
from tasks.models import Pipeline, Step, Task
from tasks.models.pipelines import LIVE, Statuses
from tasks.pipelines.advance import advance, finish, locked
from tasks.pipelines.round import Round
from tasks.states import Actions, States

Verb = Callable[[uuid.UUID, str], Task]

ALLOWED: dict[Actions, tuple[str, ...]] = {  # a live pipeline can be retried only if a step has failed
    Actions.CANCEL: (*LIVE, Statuses.PAUSED),
    Actions.PAUSE: LIVE,
    Actions.RESUME: (Statuses.PAUSED,),
    Actions.RETRY: (*LIVE, Statuses.FAILED, Statuses.CANCELED),
}


def allowed(pipeline: Pipeline, steps: Sequence[Step]) -> list[Actions]:
    """The verbs that a pipeline with these steps accepts as it is (for buttons)."""
    verbs = [action for action, states in ALLOWED.items() if pipeline.status in states]
    if Actions.RETRY in verbs and pipeline.is_live and not _has_failed(steps):
        verbs.remove(Actions.RETRY)
    return verbs


@transactional
def cancel(pipeline_id: uuid.UUID, actor: str) -> Pipeline:
    """Start no more steps, and end those that are on their way; running handlers are asked to stop.

    Raises, as the others do, `Pipeline.DoesNotExist`, and `Conflict` when the status does not allow it.
    """
    round = _opened(pipeline_id, actor, Actions.CANCEL)
    round.pipeline.status = Statuses.CANCELED
    round.pipeline.error = {"type": "Canceled", "detail": f"Canceled by {actor}.", "fingerprint": "", "step": None}
    return _done(round, lifecycle.cancel, f"canceled by {actor}")


@transactional
def pause(pipeline_id: uuid.UUID, actor: str) -> Pipeline:
    """Start no more steps, and hold those that are on their way; running handlers stop at their next checkpoint."""
    round = _opened(pipeline_id, actor, Actions.PAUSE)
    round.pipeline.status = Statuses.PAUSED
    return _done(round, lifecycle.pause, f"paused by {actor}")


@transactional
def resume(pipeline_id: uuid.UUID, actor: str) -> Pipeline:
    """Go on: paused steps at their old `run_at`. One that has not come to its halt yet goes on as soon as it has."""
    round = _opened(pipeline_id, actor, Actions.RESUME)
    round.reopen()
    for step in round.steps:
        if step.task and step.task.requested == Actions.PAUSE:
            step.resumes = True
            round.touch(step)
    return _done(round, lifecycle.resume, f"resumed by {actor}")


@transactional
def retry(pipeline_id: uuid.UUID, actor: str) -> Pipeline:
    """Resurrect the steps that were dead-lettered or canceled, and run now what waits for another attempt."""
    round = _opened(pipeline_id, actor, Actions.RETRY)
    if stopping := [step.name for step in round.steps if step.task and step.task.requested == Actions.CANCEL]:
        raise Conflict(f"Cannot retry a pipeline that is still stopping: {stopping[0]} runs until its next checkpoint.")
    if round.pipeline.is_live and not _has_failed(round.steps):
        raise Conflict(f"Cannot retry a pipeline that is {round.pipeline.status} and has no failed step.")
    if not round.pipeline.is_live:
        round.reopen()
    return _done(round, _again, f"retried by {actor}")


def _again(task_id: uuid.UUID, actor: str) -> Task:
    try:
        return lifecycle.resurrect(task_id, actor)
    except Conflict:
        return lifecycle.retry(task_id, actor)


def _has_failed(steps: Sequence[Step]) -> bool:
    return any(step.has_failed or step.status == States.FAILED for step in steps)


def _opened(pipeline_id: uuid.UUID, actor: str, action: Actions) -> Round:
    """The pipeline as it is now: what has happened by itself is told before."""
    advance(pipeline_id)
    round = next(iter(locked([pipeline_id], actor)), None)
    if round is None:
        raise Pipeline.DoesNotExist
    if round.pipeline.status not in ALLOWED[action]:
        states = " or ".join(ALLOWED[action])
        raise Conflict(f"Cannot {action} a pipeline that is {round.pipeline.status}; it must be {states}.")
    return round


def _done(round: Round, verb: Verb, message: str) -> Pipeline:
    """Move each task by `verb` that lets itself be moved so."""
    round.messages.append(message)
    for step in round.steps:
        if step.task and step.status != States.COMPLETED:
            with suppress(Conflict):
                step.task = verb(step.task.pk, round.actor)
    finish([round])
    return round.pipeline
