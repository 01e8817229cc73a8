"""How the rows look in JSON: the one form that REST, sockets, snapshots and dashboard share. Pure, apart from `owner`.

The types are the documentation: the OpenAPI components are made from them.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable
from typing import Any, Literal, TypedDict, cast

from tasks.cursor import Event
from tasks.masking import mask, mask_url
from tasks.models import Attempt, Pipeline, Step, Task, TaskEvent, TaskLog
from tasks.states import States

Status = Literal["pending", "processing", "failed", "completed", "dead_lettered", "paused", "canceled"]
StepStatus = Literal["waiting", Status]
PipelineStatus = Literal["pending", "processing", "paused", "completed", "failed", "canceled"]
PipelineType = Literal["sequential", "parallel", "dag"]
Types = TaskEvent.Types


class Progress(TypedDict):
    """`percent` is 0 to 100, or null when the handler has not said."""

    percent: float | None
    message: str


class Error(TypedDict):
    """`fingerprint` is the same for errors of one kind in one handler."""

    type: str
    detail: str
    fingerprint: str


class TaskJSON(TypedDict):
    """A task. Values under secret keys of the payload are masked; `timeout` is in seconds.

    `eta` is when the attempt that runs will probably be through, by its progress or by earlier runs of the handler.
    """

    id: str
    name: str
    queue: str
    priority: int
    status: Status
    requested: Literal["cancel", "pause"] | None
    payload: dict[str, Any]
    callback_url: str | None
    attempt: int
    max_attempts: int
    run_at: str
    timeout: float
    progress: Progress
    result: Any
    error: Error | None
    version: int
    owner: str | None
    tags: list[str]
    pipeline: str | None
    step: str | None
    worker: str | None
    created_at: str
    started_at: str | None
    eta: str | None
    finished_at: str | None
    updated_at: str


class TaskStatusJSON(TypedDict):
    """What a client polls for."""

    job_id: str
    status: Status
    percent: float | None
    message: str
    result: Any
    error: Error | None
    updated_at: str


class ActiveTaskJSON(TypedDict):
    """A task that runs now."""

    id: str
    handler: str
    queue: str
    owner: str | None
    attempt: int
    payload: dict[str, Any]
    started_at: str | None
    elapsed_s: float
    progress: Progress
    worker: str | None


class HistoryJSON(TypedDict):
    """One change of a task. `actor` is a username, a worker, or `hub`."""

    version: int
    type: str
    previous_status: Status | None
    status: Status
    attempt: int
    actor: str
    message: str
    timestamp: str


class AttemptJSON(TypedDict):
    """One try. `number` only grows; `outcome` is null while it runs; `late` came after the lease was lost."""

    number: int
    outcome: str | None
    worker: str | None
    started_at: str | None
    finished_at: str | None
    error: dict[str, Any] | None
    response: dict[str, Any] | None
    late: dict[str, Any] | None


class LogJSON(TypedDict):
    """One line that a handler logged; `seq` counts the lines of the task."""

    seq: int
    attempt: int
    level: str
    message: str
    timestamp: str


@functools.lru_cache(maxsize=256)
def moment(value: dt.datetime) -> str:
    """ISO 8601 in UTC, to the microsecond; kept for a while, since what is written together happened at one moment."""
    utc = value if value.tzinfo is dt.UTC else value.astimezone(dt.UTC)
    return utc.isoformat()[: -len("+00:00")] + "Z"


def maybe(value: dt.datetime | None) -> str | None:
    return moment(value) if value else None


def task_json(task: Task) -> TaskJSON:
    """Reads `task.owner`: select it with the task."""
    return {
        "id": str(task.pk),
        "name": task.name,
        "queue": task.queue,
        "priority": task.priority,
        "status": _status(task.status),
        "requested": task.requested,  # type: ignore[typeddict-item]
        "payload": mask(task.payload),
        "callback_url": mask_url(task.callback_url) or None,
        "attempt": task.attempt,
        "max_attempts": task.max_attempts,
        "run_at": moment(task.run_at),
        "timeout": task.timeout,
        "progress": {"percent": task.percent, "message": task.progress_message},
        "result": task.result,
        "error": _error(task.error),
        "version": task.version,
        "owner": _owner(task),
        "tags": task.tags,
        "pipeline": _id(task.pipeline_id),
        "step": task.step,
        "worker": _id(task.worker_id),
        "created_at": moment(task.created_at),
        "started_at": maybe(task.started_at),
        "eta": maybe(task.eta),
        "finished_at": maybe(task.finished_at),
        "updated_at": moment(task.updated_at),
    }


def status_json(task: Task) -> TaskStatusJSON:
    return {
        "job_id": str(task.pk),
        "status": _status(task.status),
        "percent": task.percent,
        "message": task.progress_message,
        "result": task.result,
        "error": _error(task.error),
        "updated_at": moment(task.updated_at),
    }


def active_json(task: Task, now: dt.datetime) -> ActiveTaskJSON:
    """Reads `task.owner`."""
    elapsed = (now - task.started_at).total_seconds() if task.started_at else 0.0
    return {
        "id": str(task.pk),
        "handler": task.name,
        "queue": task.queue,
        "owner": _owner(task),
        "attempt": task.attempt,
        "payload": mask(task.payload),
        "started_at": maybe(task.started_at),
        "elapsed_s": max(0.0, round(elapsed, 3)),
        "progress": {"percent": task.percent, "message": task.progress_message},
        "worker": _id(task.worker_id),
    }


def attempt_json(attempt: Attempt) -> AttemptJSON:
    return {
        "number": attempt.number,
        "outcome": attempt.outcome,
        "worker": _id(attempt.worker_id),
        "started_at": maybe(attempt.started_at),
        "finished_at": maybe(attempt.finished_at),
        "error": attempt.error,
        "response": mask(attempt.response),
        "late": attempt.late,
    }


def running_attempt_json(task: Task) -> AttemptJSON:
    """The try that a processing task is in: it becomes an `Attempt` when it ends."""
    return {
        "number": task.tries,
        "outcome": None,
        "worker": _id(task.worker_id),
        "started_at": maybe(task.started_at),
        "finished_at": None,
        "error": None,
        "response": None,
        "late": None,
    }


def log_json(line: TaskLog) -> LogJSON:
    return {
        "seq": line.seq,
        "attempt": line.number,
        "level": line.level,
        "message": line.message,
        "timestamp": moment(line.timestamp),
    }


def history_json(event: TaskEvent) -> HistoryJSON:
    """A row of the log as the task's page shows it."""
    return {
        "version": event.version,
        "type": event.type,
        "previous_status": _status(event.previous_status) if event.previous_status else None,
        "status": _status(event.status),
        "attempt": event.attempt,
        "actor": event.actor,
        "message": event.message,
        "timestamp": moment(event.timestamp),
    }


# -- pipelines -----------------------------------------------------------------------------------------------------


class PipelineError(Error):
    """The error of the first step that failed, and its name; of a canceled pipeline `step` is null."""

    step: str | None


class StepJSON(TypedDict):
    """A step of a pipeline. While it is `waiting` for those that it depends on it has no task."""

    name: str
    index: int
    status: StepStatus
    task_id: str | None
    depends_on: list[str]
    started_at: str | None
    finished_at: str | None


class PipelineJSON(TypedDict):
    """A pipeline. `current_step` is how many steps are complete; values under secret keys of the input are masked."""

    id: str
    name: str
    pipeline_type: PipelineType
    status: PipelineStatus
    input: Any
    result: Any
    error: PipelineError | None
    current_step: int
    total_steps: int
    steps: list[StepJSON]
    owner: str | None
    version: int
    created_at: str
    started_at: str | None
    finished_at: str | None
    updated_at: str


def pipeline_json(pipeline: Pipeline, steps: Iterable[Step]) -> PipelineJSON:
    """Reads `pipeline.owner`: select it with the pipeline. `steps` are all of its own, in order."""
    return {
        "id": str(pipeline.pk),
        "name": pipeline.name,
        "pipeline_type": cast(PipelineType, pipeline.pipeline_type),
        "status": cast(PipelineStatus, pipeline.status),
        "input": mask(pipeline.input),
        "result": pipeline.result,
        "error": pipeline.error,
        "current_step": pipeline.current_step,
        "total_steps": pipeline.total_steps,
        "steps": [step_json(step) for step in steps],
        "owner": _owner(pipeline),
        "version": pipeline.version,
        "created_at": moment(pipeline.created_at),
        "started_at": maybe(pipeline.started_at),
        "finished_at": maybe(pipeline.finished_at),
        "updated_at": moment(pipeline.updated_at),
    }


def step_json(step: Step) -> StepJSON:
    return {
        "name": step.name,
        "index": step.index,
        "status": cast(StepStatus, step.status),
        "task_id": _id(step.task_id),
        "depends_on": step.depends_on,
        "started_at": maybe(step.started_at),
        "finished_at": maybe(step.finished_at),
    }


# -- the stream ----------------------------------------------------------------------------------------------------


def event_json(event: Event, cursor: str) -> dict[str, Any]:
    """A row of the log as the stream and `GET /events` carry it. `cursor` is the log's position after it.

    `event_id` is unique and the same for ever: a restored backup gives a row's number to another event, but not its
    version.
    """
    subject = str(event.task_id or event.pipeline_id)
    fields = {
        "type": event.type, "event_id": f"{subject}:{event.version}", "cursor": cursor,
        "timestamp": moment(event.timestamp), "task_id" if event.task_id else "pipeline_id": subject,
        "version": event.version,
    }  # fmt: skip
    match event.type:
        case Types.CREATED:
            fields |= _task_fields(event)
        case Types.PROGRESS:
            fields |= _task_fields(event) | {"eta": None} | event.data
        case Types.UPDATED:
            fields |= _task_fields(event) | _change_fields(event)
        case _:
            fields |= _pipeline_fields(event)
    return fields


def _pipeline_fields(event: Event) -> dict[str, Any]:
    if event.type == Types.PIPELINE_STARTED:
        return event.data | {"input": mask(event.data["input"])}
    if event.type == Types.PIPELINE_PROGRESS:
        return {"status": event.status, **event.data, "message": event.message}
    return event.data


def _task_fields(event: Event) -> dict[str, Any]:
    return {"task_name": event.name, "queue": event.queue, "status": event.status}


def _change_fields(event: Event) -> dict[str, Any]:
    fields = {
        "previous_status": event.previous_status, "attempt": event.attempt, "message": event.message,
        "error": event.data.get("error"),
    }  # fmt: skip
    if event.status == States.COMPLETED:
        omitted = event.data.get("result_omitted")
        fields |= {"result_omitted": True} if omitted else {"result": event.data.get("result")}
    return fields


def _status(status: str) -> Status:
    return cast(Status, status)


def _error(error: dict[str, Any] | None) -> Error | None:
    return {"type": error["type"], "detail": error["detail"], "fingerprint": error["fingerprint"]} if error else None


def _owner(row: Task | Pipeline) -> str | None:
    return row.owner.get_username() if row.owner else None


def _id(value: Any) -> str | None:
    return str(value) if value else None
