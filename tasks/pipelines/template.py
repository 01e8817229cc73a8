"""A step's task before it exists: what `tasks.submission` made of the step's request, and places for results in it.

It is kept as JSON and becomes a task once the step's dependencies are complete, in whatever process that is noticed:
nothing of it is looked up again, so that the handler need not be installed there.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from tasks.models import Pipeline, Step, Task
from tasks.models.tasks import CALLBACK
from tasks.pipelines.references import fill
from tasks.submission import TASK_LIMIT

COLUMNS = (
    "name", "queue", "priority", "tags", "callback_url", "callback_method", "callback_headers", "max_attempts",
    "retry_delay", "retry_factor", "retry_max_delay", "retry_jitter", "timeout", "timeout_is_own",
)  # fmt: skip
REFUSED = "$refused"  # no argument of a handler can be called so: what holds it, can never run


def template_of(task: Task, delay: float | None) -> dict[str, Any]:
    """`task` as JSON. `delay`, in seconds, counts from when it comes to exist; without one its `run_at` holds."""
    kept = {column: getattr(task, column) for column in COLUMNS}
    run_at = task.run_at.isoformat() if task.run_at and not delay else None
    return kept | {"payload": task.payload, "delay": delay, "run_at": run_at}


def task_of(
    template: dict[str, Any], pipeline: Pipeline, step: Step, results: dict[str, Any], now: dt.datetime
) -> tuple[Task, str | None]:
    """The unsaved task of a step whose dependencies have returned `results`, and why it can never run, if so."""
    columns = {column: template[column] for column in COLUMNS}
    task = Task(**columns, owner_id=pipeline.owner_id, pipeline=pipeline, step=step.name)
    task.run_at = _run_at(template, now)  # type: ignore[assignment]  # None becomes now when it is stored
    task.payload = fill(template["payload"], results, pipeline.input)
    if reason := refusal(task.payload):
        _disarm(task, reason)
    return task, reason


def _run_at(template: dict[str, Any], now: dt.datetime) -> dt.datetime | None:
    if template["delay"]:
        return now + dt.timedelta(seconds=template["delay"])
    return dt.datetime.fromisoformat(template["run_at"]) if template["run_at"] else None


def refusal(payload: Any) -> str | None:
    """Why there can be no task with this payload. Whether it binds, the handler's own worker will see."""
    if not isinstance(payload, dict):
        return "With everything put in, the payload is no JSON object."
    if (size := len(msgspec.json.encode(payload))) > TASK_LIMIT:
        return f"With everything put in, the payload has {size} bytes of JSON; a task has at most {TASK_LIMIT}."
    return None


def _disarm(task: Task, reason: str) -> None:
    """Whoever resurrects it shall not run it with a payload that nobody meant."""
    task.payload = {REFUSED: reason}
    if task.is_callback:
        task.name, task.callback_url = CALLBACK, ""
