"""The hub's JSON, for type checkers: what comes back are plain dicts. Times are ISO 8601 in UTC, ids UUIDs."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

Status = Literal["pending", "processing", "failed", "completed", "dead_lettered", "paused", "canceled"]
StepStatus = Literal["waiting", Status]
PipelineStatus = Literal["pending", "processing", "paused", "completed", "failed", "canceled"]
PipelineType = Literal["sequential", "parallel", "dag"]

Event = dict[str, Any]
"""A frame of the stream. `type` tells which: see the hub's WebSocket reference."""


class Progress(TypedDict):
    """`percent` is 0 to 100, or None when the handler has not said."""

    percent: float | None
    message: str


class Error(TypedDict):
    """`fingerprint` is the same for errors of one kind in one handler."""

    type: str
    detail: str
    fingerprint: str


class PipelineError(Error):
    """The error of the first step that failed, and its name; of a canceled pipeline `step` is None."""

    step: str | None


class Task(TypedDict):
    """A task. `timeout` is in seconds; `eta` is when the attempt that runs will probably be through."""

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


class TaskStatus(TypedDict):
    """How a task stands, and no more."""

    job_id: str
    status: Status
    percent: float | None
    message: str
    result: Any
    error: Error | None
    updated_at: str


class Step(TypedDict):
    """A step of a pipeline. While it is `waiting` for those that it depends on it has no task."""

    name: str
    index: int
    status: StepStatus
    task_id: str | None
    depends_on: list[str]
    started_at: str | None
    finished_at: str | None


class Pipeline(TypedDict):
    """A pipeline. `current_step` is how many of its steps are complete."""

    id: str
    name: str
    pipeline_type: PipelineType
    status: PipelineStatus
    input: Any
    result: Any
    error: PipelineError | None
    current_step: int
    total_steps: int
    steps: list[Step]
    owner: str | None
    version: int
    created_at: str
    started_at: str | None
    finished_at: str | None
    updated_at: str


class Retry(TypedDict, total=False):
    """Wait before try n + 1: `min(max_delay, delay * factor ** (n - 1)) * U(1 - jitter, 1)` seconds."""

    delay: float
    factor: float
    max_delay: float
    jitter: float


class TaskOptions(TypedDict, total=False):
    """What a submission may say beside name and payload. `delay` and `timeout` are seconds, `run_at` ISO 8601."""

    callback_url: str
    callback_method: Literal["POST", "PUT", "PATCH"]
    callback_headers: dict[str, str]
    queue: str
    priority: int
    max_attempts: int
    retry: Retry
    timeout: float
    run_at: str
    delay: float
    tags: list[str]


class Subscription(TypedDict, total=False):
    """What to follow: exactly one of the first three, an id, a name or `*`; `events` and `statuses` narrow it."""

    task_id: str
    pipeline_id: str
    queue: str
    events: list[str]
    statuses: list[str]
