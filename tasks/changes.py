"""What each verb changes: functions from a row, as it stands under its lock, to the `Change` that is due. No database.

`tasks.lifecycle` locks the rows and writes what comes out of here.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, field
from typing import Any

from tasks import errors
from tasks.exceptions import Conflict
from tasks.models import Task, TaskEvent, Worker
from tasks.states import Actions, States, step

A = Actions

CHARGED_CRASHES = 3  # lost so many times alone: the task is poison
UNCHARGED_RESCUES = 10  # lost so many times in company: suspicious
ETA_LEAST = 1.0  # seconds: nobody waits for an estimate of less
RESULT_LIMIT = 16 * 1024  # bytes of JSON that an event carries; a larger result is fetched over REST


@dataclass(slots=True)
class Outcome:
    """How one attempt ended, as its worker saw it. `action` is complete, fail, bury, snooze or release.

    `delay` is the least wait before the next try and `elapsed` the time since the attempt began, both in seconds.
    """

    task_id: uuid.UUID
    lease: uuid.UUID
    action: Actions
    result: Any = None
    result_size: int = 0
    error: dict[str, Any] | None = None
    delay: float = 0
    elapsed: float = 0
    response: dict[str, Any] | None = None
    state: dict[str, Any] | None = None
    task: Task | None = field(default=None, compare=False, repr=False)  # as it was when the attempt began


@dataclass(slots=True)
class Change:
    """What is to be written of one row; `action` is None for what is no step of the machine."""

    status: str
    action: Actions | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    message: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    type: str = TaskEvent.Types.UPDATED


def moved(task: Task, action: Actions, message: str = "", **fields: Any) -> Change:
    """One step of the machine. Raises `Conflict` when the table has no such step."""
    return Change(step(action, task.status), action, fields, message)


# -- the engine ----------------------------------------------------------------------------------------------------


def claimed(task: Task, worker: Worker, lease: uuid.UUID, now: dt.datetime, usual: float | None = None) -> Change:
    """`usual`: how long such runs take, in seconds. One that goes on where it was left takes less: nobody knows."""
    eta = now + dt.timedelta(seconds=usual) if usual and usual >= ETA_LEAST and not task.state else None
    return moved(
        task, A.CLAIM,
        attempt=task.attempt + 1, tries=task.tries + 1, worker_id=worker.pk, lease=lease, ready=False,
        started_at=now, percent=None, progress_message="", eta=eta,
    )  # fmt: skip


def ended(task: Task, outcome: Outcome, now: dt.datetime) -> Change:
    """One outcome, one step."""
    change = _end(task, outcome, now)
    if outcome.elapsed:
        change.fields["started_at"] = _rounded(now - dt.timedelta(seconds=outcome.elapsed))
    if outcome.state is not None:
        change.fields["state"] = outcome.state
    return change


def _end(task: Task, outcome: Outcome, now: dt.datetime) -> Change:
    if outcome.action is A.COMPLETE:
        return _completed(task, outcome, now)
    if task.requested:
        return _as_requested(task, now)
    if outcome.error and outcome.action is A.BURY:
        return _buried(task, outcome.error, now)
    if outcome.error and outcome.action is A.FAIL:
        return _failed(task, outcome.error, now, outcome.delay)
    run_at = now + dt.timedelta(seconds=outcome.delay)
    return _let_go(task, outcome.action, run_at=run_at, ready=run_at <= now, attempt=task.attempt - 1)


def _rounded(moment: dt.datetime) -> dt.datetime:
    """To 10 ms, so that a batch of short tasks ends in a few statements instead of one for each."""
    return moment.replace(microsecond=moment.microsecond // 10_000 * 10_000)


def _completed(task: Task, outcome: Outcome, now: dt.datetime) -> Change:
    data = {"result_omitted": True} if outcome.result_size > RESULT_LIMIT else {"result": outcome.result}
    return _let_go(
        task, A.COMPLETE, data=data,
        finished_at=now, result=outcome.result, error=None, fingerprint="", percent=100.0,
    )  # fmt: skip


def _failed(task: Task, error: dict[str, Any], now: dt.datetime, delay: float = 0) -> Change:
    if task.is_last_attempt:
        return _buried(task, error, now)
    run_at = now + dt.timedelta(seconds=max(task.retry_policy.wait(task.attempt), delay))
    data = {"error": public_error(error), "run_at": run_at.isoformat()}
    return _let_go(task, A.FAIL, error["detail"], data, run_at=run_at, **_error_fields(error))


def _buried(task: Task, error: dict[str, Any], now: dt.datetime) -> Change:
    data = {"error": public_error(error)}
    return _let_go(task, A.BURY, error["detail"], data, finished_at=now, **_error_fields(error))


def _as_requested(task: Task, now: dt.datetime) -> Change:
    """The attempt ended in another way than completion, while a cancel or a pause was waiting for it."""
    if task.requested == A.CANCEL:
        return _let_go(task, A.CANCEL, "Canceled while it ran.", finished_at=now)
    return _let_go(task, A.PAUSE, "Paused while it ran.", attempt=task.attempt - 1)


def rescued(task: Task, charged: bool, detail: str, now: dt.datetime) -> Change:
    """Its worker is lost. Charged, it has used the attempt and counts as a crash; else the attempt is given back.

    A worker that a handler has taken along beyond its deadline was to lose it anyway: that is a failure and no crash.
    """
    if task.requested:
        return _as_requested(task, now)
    if charged and _is_overdue(task, now):
        return _failed(task, lost(task, charged, detail, now), now)
    crashes, rescues = task.crashes + charged, task.rescues + (not charged)
    counters: dict[str, Any] = {"crashes": crashes, "rescues": rescues}
    if fatal := _fatal(task, crashes, rescues) or _last(task, charged, detail, now):
        change = _buried(task, fatal, now)
        change.fields.update(counters)
        return change
    attempt = task.attempt if charged else task.attempt - 1
    return _let_go(task, A.RESCUE, detail, run_at=now, ready=True, attempt=attempt, **counters)


def lost(task: Task, charged: bool, detail: str, now: dt.datetime) -> dict[str, Any]:
    """The error of an attempt whose worker is gone."""
    if charged and _is_overdue(task, now):
        detail = f"The deadline of {task.timeout:g} s passed, and its worker did not survive it. {detail}"
        return errors.describe(task.name, "DeadlineExceeded", detail)
    return errors.describe(task.name, "WorkerLost", detail)


def _is_overdue(task: Task, now: dt.datetime) -> bool:
    return task.started_at is not None and now - task.started_at >= dt.timedelta(seconds=task.timeout)


def _last(task: Task, charged: bool, detail: str, now: dt.datetime) -> dict[str, Any] | None:
    return lost(task, charged, detail, now) if charged and task.is_last_attempt else None


def _fatal(task: Task, crashes: int, rescues: int) -> dict[str, Any] | None:
    if crashes >= CHARGED_CRASHES:
        return errors.describe(task.name, "Poison", f"Its worker died {crashes} times while it ran this task alone.")
    if rescues >= UNCHARGED_RESCUES:
        detail = f"Its worker died {rescues} times while it held this task among others."
        return errors.describe(task.name, "suspected_poison", detail)
    return None


def deferred(task: Task, until: dt.datetime, now: dt.datetime) -> Change:
    """The attempt goes on at the receiver's. Nobody is left here to hear of a cancel, so that one acts at once."""
    if task.requested == A.CANCEL:
        return _as_requested(task, now)
    fields = {"worker_id": None, "deferred_until": until}
    return Change(States.PROCESSING, fields=fields, message="The receiver reports the result later.")


def progressed(task: Task, percent: float | None, message: str, eta: dt.datetime | None) -> Change:
    """`eta` is None when the report says nothing of it: the estimate stays what it was."""
    eta = eta or task.eta
    return Change(
        States.PROCESSING,
        fields={"percent": percent, "progress_message": message, "eta": eta},
        message=message,
        data={"percent": percent, "message": message, "eta": eta.isoformat() if eta else None},
        type=TaskEvent.Types.PROGRESS,
    )


def _let_go(
    task: Task, action: Actions, message: str = "", data: dict[str, Any] | None = None, **fields: Any
) -> Change:
    """A step out of processing: nobody holds the task any more."""
    free = {"worker_id": None, "lease": None, "deferred_until": None, "requested": None, "eta": None}
    return Change(step(action, task.status), action, {**free, **fields}, message, data or {})


def _error_fields(error: dict[str, Any]) -> dict[str, Any]:
    return {"error": public_error(error), "fingerprint": error.get("fingerprint", "")}


def public_error(error: dict[str, Any]) -> dict[str, Any]:
    """What everybody who sees the task may read of an error; the traceback stays with the attempt."""
    return {key: error.get(key, "") for key in ("type", "detail", "fingerprint")}


# -- the operator --------------------------------------------------------------------------------------------------


def retried(task: Task, now: dt.datetime) -> Change:
    return moved(task, A.RETRY, run_at=now, ready=True)


def resurrected(task: Task, now: dt.datetime) -> Change:
    return moved(
        task, A.RESURRECT,
        run_at=now, ready=True, finished_at=None, attempt=0, crashes=0, rescues=0,
        error=None, fingerprint="", percent=None, progress_message="",
    )  # fmt: skip


def canceled(task: Task, now: dt.datetime) -> Change:
    if task.status == States.PROCESSING and not task.deferred_until:
        return _request(task, A.CANCEL)
    if task.status == States.PROCESSING:
        return _let_go(task, A.CANCEL, finished_at=now)
    return moved(task, A.CANCEL, finished_at=now, ready=False)


def paused(task: Task, now: dt.datetime) -> Change:
    if task.deferred_until:
        raise Conflict("Cannot pause a callback whose receiver has accepted it; cancel it, or wait for its result.")
    if task.status == States.PROCESSING:
        return _request(task, A.PAUSE)
    return moved(task, A.PAUSE, ready=False)


def resumed(task: Task, now: dt.datetime) -> Change:
    return moved(task, A.RESUME, ready=task.run_at <= now)


def _request(task: Task, action: Actions) -> Change:
    """Keep the wish until the attempt ends or its handler reaches a checkpoint. A cancel replaces a pause."""
    if task.requested == A.CANCEL or task.requested == action:
        raise Conflict(f"A {task.requested} of this task has been requested already.")
    return Change(
        task.status, fields={"requested": str(action)}, message=f"{action} requested", data={"requested": str(action)}
    )
