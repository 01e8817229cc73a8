"""Everything that is known of one task, as its page shows it. Secrets are masked, and long tales are cut."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tasks.admin.display import NOTHING, exact, link, pretty
from tasks.masking import MASK, mask_url
from tasks.models import Attempt, Task, TaskEvent
from tasks.states import States

Outcomes = Attempt.Outcomes

ATTEMPTS = 25  # the newest; a task that snoozes for a year has thousands
EVENTS = 100
LINES = 100
COLOURS = {Outcomes.LOST: States.DEAD_LETTERED, Outcomes.SNOOZED: States.PENDING, Outcomes.RELEASED: States.PENDING}


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt, ready to be read. `colour` is the status whose colour its outcome wears."""

    attempt: Attempt

    @property
    def colour(self) -> str:
        return COLOURS.get(Outcomes(self.attempt.outcome), self.attempt.outcome)

    @property
    def took(self) -> str:
        return took(self.attempt.started_at, self.attempt.finished_at)

    @property
    def traceback(self) -> str:
        return (self.attempt.error or {}).get("traceback", "")

    @property
    def response(self) -> str:
        return pretty(self.attempt.response) if self.attempt.response else ""

    @property
    def late(self) -> str:
        return pretty(self.attempt.late) if self.attempt.late else ""


def of(task: Task) -> dict[str, Any]:
    """The context of the task's page."""
    events = TaskEvent.objects.filter(task_id=task.pk).order_by("-version")
    return {
        "task": task,
        "facts": [(name, value) for name, value in _facts(task) if value not in (None, "")],
        "documents": [(name, pretty(value)) for name, value in _documents(task)],
        "callback_headers": dict.fromkeys(task.callback_headers, MASK),
        "tries": [Try(attempt) for attempt in task.attempts.order_by("-number")[:ATTEMPTS]],
        "events": events[:EVENTS],
        "lines": list(task.logs.order_by("-seq")[:LINES])[::-1],
    }


def took(started: dt.datetime | None, finished: dt.datetime | None) -> str:
    if not (started and finished):
        return NOTHING
    seconds = (finished - started).total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:,.1f} s"


def _facts(task: Task) -> Iterator[tuple[str, Any]]:
    yield "Queue", task.queue
    yield "Priority", task.priority
    yield "Attempt", f"{task.attempt} of {task.max_attempts}"
    yield "Tries in all", task.tries
    yield "Crashes", task.crashes or None
    yield "Owner", task.owner
    yield "Pipeline", task.pipeline_id and link("admin:tasks_pipeline_change", task.pipeline_id, task.pipeline)
    yield "Step", task.step
    yield "Worker", task.worker
    yield "Progress", _progress(task)
    yield "Created", exact(task.created_at)
    yield "Run at", None if task.is_finished else exact(task.run_at)
    yield "Started", task.started_at and exact(task.started_at)
    yield "Finished", task.finished_at and exact(task.finished_at)
    yield "Result due", task.deferred_until and exact(task.deferred_until)
    yield "Timeout", f"{task.timeout:g} s"
    yield "Retries", _policy(task)
    yield "Callback", task.callback_url and f"{task.callback_method} {mask_url(task.callback_url)}"
    yield "Version", task.version


def _progress(task: Task) -> str:
    percent = "" if task.percent is None else f"{task.percent:.0f} %"
    return f"{percent} {task.progress_message}".strip()


def _policy(task: Task) -> str:
    policy = task.retry_policy
    return f"after {policy.delay:g} s, each time {policy.factor:g} times as long, at most {policy.max_delay:g} s"


def _documents(task: Task) -> Iterator[tuple[str, Any]]:
    yield "Payload", task.payload
    if task.status == States.COMPLETED:
        yield "Result", task.result
    if task.state:
        yield "State", task.state
