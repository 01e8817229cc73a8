"""What a receiver that answered "later" reports: progress on the way, and the end of the attempt.

Its credential is the attempt's token alone. A token is good from the moment its request left until the attempt ends;
to say the same again is harmless, and whatever comes too late changes nothing.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from tasks import errors, lifecycle
from tasks.callbacks.delivery import is_token_of, secrets_of
from tasks.changes import ETA_LEAST, Outcome
from tasks.database import database_now, transactional
from tasks.exceptions import StaleLease
from tasks.lifecycle import Progress
from tasks.masking import without
from tasks.models import Attempt, Task
from tasks.states import Actions

RECEIVER = "receiver"  # the actor


class Unauthenticated(Exception):
    """The token belongs to no attempt of this task."""


@transactional
def settle(task_id: uuid.UUID, token: str, *, result: Any = None, error: dict[str, str] | None = None) -> Task:
    """End the attempt: with `error` (`{type, detail}`) as a failure, else completed with `result`.

    Raises `Task.DoesNotExist`, `Unauthenticated` for a token that never was one, `StaleLease` for one whose attempt
    has ended otherwise.
    """
    task = Task.objects.select_for_update().get(pk=task_id)
    reported = {"error": error} if error else {"result": result}
    if is_token_of(token, task.pk, task.lease):
        lifecycle.record([_outcome(task, result, error, reported)], RECEIVER)
        return Task.objects.get(pk=task.pk)
    attempt = _attempt_of(task, token)
    if (attempt.response or {}).get("reported") != reported:
        raise StaleLease("This attempt has ended already.")
    return task


@transactional
def report(task_id: uuid.UUID, token: str, percent: float | None, message: str) -> Task:
    """Show how far a deferred attempt is. Raises as `settle` does."""
    task = Task.objects.select_for_update().get(pk=task_id)
    if not is_token_of(token, task.pk, task.lease):
        _attempt_of(task, token)
        raise StaleLease("This attempt has ended already.")
    message = without(message, secrets_of(task))
    lifecycle.report([Progress(task.pk, task.present_lease, percent, message, _left(task, percent))], RECEIVER)
    return Task.objects.get(pk=task.pk)


def _left(task: Task, percent: float | None) -> float | None:
    """Seconds, if it goes on as fast as it has so far."""
    if not percent or task.started_at is None:
        return None
    elapsed = (database_now() - task.started_at).total_seconds()
    return elapsed * (100 - percent) / percent if elapsed >= ETA_LEAST else None


def end_overdue() -> int:
    """Fail the deferred attempts whose receivers have let their deadline pass. Returns how many."""
    overdue = Task.objects.processing().filter(deferred_until__lte=database_now()).defer("payload", "state")
    outcomes = [_overdue(task) for task in overdue]
    return len(lifecycle.record(outcomes, RECEIVER)) if outcomes else 0


def _overdue(task: Task) -> Outcome:
    detail = "The receiver accepted the task and did not report a result by its deadline."
    error = errors.describe(task.name, "DeadlineExceeded", detail)
    return Outcome(task.pk, task.present_lease, Actions.FAIL, error=error)


def _outcome(task: Task, result: Any, error: dict[str, str] | None, reported: dict[str, Any]) -> Outcome:
    response = {"reported": reported}
    if error:
        described = errors.describe(task.name, error["type"], without(error["detail"], secrets_of(task)))
        return Outcome(task.pk, task.present_lease, Actions.FAIL, error=described, response=response)
    size = len(msgspec.json.encode(result))
    return Outcome(task.pk, task.present_lease, Actions.COMPLETE, result=result, result_size=size, response=response)


def _attempt_of(task: Task, token: str) -> Attempt:
    """The ended attempt that `token` was made for."""
    for attempt in task.attempts.filter(lease__isnull=False).order_by("-number"):
        if is_token_of(token, task.pk, attempt.lease):
            return attempt
    raise Unauthenticated("This token belongs to no attempt of this task.")
