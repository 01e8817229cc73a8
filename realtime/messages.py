"""The frames, both ways: their types are the protocol's reference, and `docs/reference` is made from them. Pure.

Events of the log are encoded by `frame` from the form that REST shares; every other frame is built here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tasks.representation import (
    Error,
    PipelineError,
    PipelineJSON,
    PipelineStatus,
    PipelineType,
    Status,
    TaskJSON,
    moment,
)

PROTOCOL = 1
HEARTBEAT_S = 25
EVERY = "*"

# -- close codes ---------------------------------------------------------------------------------------------------

BAD_REQUEST = 4400
UNAUTHENTICATED = 4401
FORBIDDEN = 4403
UNKNOWN = 4404
TOO_SLOW = 4408
TOO_MANY = 4429
RESTART = 1012
TRY_LATER = 1013
INTERNAL_ERROR = 1011

# -- from the client -----------------------------------------------------------------------------------------------

PipelineEventType = Literal[
    "PipelineStartEvent",
    "StepStartEvent",
    "StepCompleteEvent",
    "StepErrorEvent",
    "PipelineCompleteEvent",
    "PipelineErrorEvent",
    "pipeline_progress",
]
TaskEventType = Literal["task_created", "task_updated", "task_progress"]
EventType = Literal[TaskEventType, PipelineEventType, "task_log", "queue_status"]
LOGGED = frozenset(get_args(TaskEventType) + get_args(PipelineEventType))  # what the event log holds, and replays

ErrorCode = Literal["invalid_json", "invalid_frame", "not_found", "too_many_subscriptions", "already_authenticated"]

Secret = Annotated[str, Meta(min_length=1, max_length=1024)]
Since = Annotated[str, Meta(max_length=20_000)]
Id = Annotated[str, Meta(max_length=100)]
QueueName = Annotated[str, Meta(pattern=r"^(\*|[A-Za-z0-9._-]{1,100})\Z")]


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """A frame that a client sends."""


class Keyed(Request, kw_only=True):
    """What a subscription is to: exactly one of these. `*` is all that the client may see."""

    task_id: Id | None = None
    pipeline_id: Id | None = None
    queue: QueueName | None = None

    @property
    def key(self) -> Key:
        return next(Key(name, value) for name, value in self._given())

    def _given(self) -> list[tuple[str, str]]:
        return [(name, value) for name in KEYS if (value := getattr(self, name)) is not None]

    def __post_init__(self) -> None:
        if len(self._given()) != 1:
            raise ValueError("Give exactly one of task_id, pipeline_id and queue")


class Key(NamedTuple):
    """The name and the value of what is subscribed to."""

    name: str
    value: str


KEYS = ("task_id", "pipeline_id", "queue")


class Subscribe(Keyed, tag="subscribe", kw_only=True):
    """Take the events of one key. `since` asks for a replay, `batch` for several events a frame on this connection."""

    events: frozenset[EventType] | None = None
    statuses: frozenset[Status] | None = None
    since: Since | None = None
    batch: bool | None = None


class Unsubscribe(Keyed, tag="unsubscribe", kw_only=True):
    """Take the events of this key no more."""


class Ping(Request, tag="ping"):
    """Answered by `pong`."""


class Authenticate(Request, tag="authenticate", kw_only=True):
    """The first frame of a connection that brought no credentials: exactly one of these, within five seconds."""

    token: Secret | None = None
    ticket: Secret | None = None

    def __post_init__(self) -> None:
        if (self.token is None) == (self.ticket is None):
            raise ValueError("Give either a token or a ticket")


Requests = Subscribe | Unsubscribe | Ping | Authenticate
_requests = msgspec.json.Decoder(Requests)


class InvalidFrame(Exception):
    """A frame that is none of the protocol's. `code` names the kind of fault, the text is for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def decode(text: str | bytes) -> Request:
    """What a client said. Raises `InvalidFrame`."""
    try:
        return _requests.decode(text)
    except msgspec.ValidationError as error:
        raise InvalidFrame("invalid_frame", f"{error}.") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidFrame("invalid_json", f"The frame is not JSON: {error}.") from None


# -- to the client -------------------------------------------------------------------------------------------------


class Frame(msgspec.Struct, kw_only=True):
    """`timestamp` is ISO 8601 in UTC."""

    timestamp: str


class Hello(Frame, tag="hello", kw_only=True):
    """The first frame. `cursor` is the log's head, for a client that has none: never store it over an older one."""

    protocol: int = PROTOCOL
    cursor: str
    heartbeat_s: int = HEARTBEAT_S


class Subscribed(Frame, tag="subscribed", kw_only=True):
    """What was asked for, and where the replay starts. `recovered` is false when what came after `since` is gone."""

    task_id: str | UnsetType = UNSET
    pipeline_id: str | UnsetType = UNSET
    queue: str | UnsetType = UNSET
    cursor: str
    recovered: bool


class Unsubscribed(Frame, tag="unsubscribed", kw_only=True):
    """No event of this key follows."""

    task_id: str | UnsetType = UNSET
    pipeline_id: str | UnsetType = UNSET
    queue: str | UnsetType = UNSET


class Snapshot(Frame, tag="snapshot", kw_only=True):
    """The whole task or pipeline, as REST gives it."""

    task: TaskJSON | UnsetType = UNSET
    pipeline: PipelineJSON | UnsetType = UNSET


class Event(Frame, kw_only=True):
    """What the log holds. `cursor`: every event up to it that matches this connection's subscriptions was sent."""

    event_id: str
    cursor: str


class TaskCreated(Event, tag="task_created", kw_only=True):
    """A task was submitted."""

    task_id: str
    task_name: str
    queue: str
    status: Status
    version: int


class TaskUpdated(Event, tag="task_updated", kw_only=True):
    """A task changed. A completed one brings its `result`, or `result_omitted` over 16 KiB."""

    task_id: str
    task_name: str
    queue: str
    status: Status
    version: int
    previous_status: Status | None
    attempt: int
    message: str
    error: Error | None
    result: Any = UNSET
    result_omitted: bool | UnsetType = UNSET


class TaskProgress(Event, tag="task_progress", kw_only=True):
    """A handler said how far it is; `percent` is 0 to 100, `eta` when it will probably be through."""

    task_id: str
    task_name: str
    queue: str
    status: Status
    percent: float | None
    message: str
    eta: str | None
    version: int


class PipelineEvent(Event, kw_only=True):
    """What happens to a pipeline, as one event of the log."""

    pipeline_id: str
    version: int


class PipelineStart(PipelineEvent, tag="PipelineStartEvent", kw_only=True):
    """A pipeline has started. `input_omitted` over 16 KiB."""

    pipeline_type: PipelineType
    input: Any
    input_omitted: bool | UnsetType = UNSET


class StepStart(PipelineEvent, tag="StepStartEvent", kw_only=True):
    """A step was claimed for the first time, or the first time since it was resurrected."""

    step_name: str
    step_index: int
    task_id: str


class StepComplete(PipelineEvent, tag="StepCompleteEvent", kw_only=True):
    """A step is complete. `result_omitted` over 16 KiB."""

    step_name: str
    step_index: int
    result: Any
    result_omitted: bool | UnsetType = UNSET
    duration_ms: int


class StepError(PipelineEvent, tag="StepErrorEvent", kw_only=True):
    """A step was dead-lettered."""

    step_name: str
    step_index: int
    error: Error


class PipelineComplete(PipelineEvent, tag="PipelineCompleteEvent", kw_only=True):
    """Every step is complete. `result_omitted` over 16 KiB."""

    pipeline_type: PipelineType
    status: Literal["COMPLETED"]
    duration_ms: int
    result: Any
    result_omitted: bool | UnsetType = UNSET


class PipelineFailed(PipelineEvent, tag="PipelineErrorEvent", kw_only=True):
    """Nothing more of it can run."""

    error: PipelineError


class PipelineProgress(PipelineEvent, tag="pipeline_progress", kw_only=True):
    """How far a pipeline is: `current_step` of its steps are complete."""

    status: PipelineStatus
    current_step: int
    total_steps: int
    message: str


LoggedEvent = (
    TaskCreated
    | TaskUpdated
    | TaskProgress
    | PipelineStart
    | StepStart
    | StepComplete
    | StepError
    | PipelineComplete
    | PipelineFailed
    | PipelineProgress
)


class TaskLog(Frame, tag="task_log", kw_only=True):
    """A handler logged a line; only to subscriptions of this one task, and never replayed."""

    task_id: str
    seq: int
    level: str
    message: str


class QueueStatus(Frame, tag="queue_status", kw_only=True):
    """The body of `GET /queue/status`: at once when it changes, at most twice a second, and every 30 s."""

    total_tasks: int
    active_tasks: int
    pending_tasks: int
    workers_online: int
    by_status: dict[str, int]
    queues: list[dict[str, Any]]


class Batch(msgspec.Struct, tag="batch", kw_only=True):
    """Several events in one frame, for a connection that asked for it."""

    events: list[LoggedEvent]


class Heartbeat(Frame, tag="heartbeat", kw_only=True):
    """The connection lives, and everything up to `cursor` was sent. Needs no answer."""

    cursor: str


class Resync(Frame, tag="resync", kw_only=True):
    """What was missed is gone: fetch a snapshot."""

    reason: Literal["too_slow"]


class ErrorFrame(Frame, tag="error", kw_only=True):
    """A request was refused; of a subscription it names the key. The connection stays open unless a close follows."""

    code: ErrorCode
    detail: str
    task_id: str | UnsetType = UNSET
    pipeline_id: str | UnsetType = UNSET
    queue: str | UnsetType = UNSET


class Pong(Frame, tag="pong", kw_only=True):
    """The answer to `ping`."""


def encode(frame: type[Frame], **fields: Any) -> str:
    """A frame of now."""
    return encode_at(dt.datetime.now(dt.UTC), frame, **fields)


def encode_at(timestamp: dt.datetime, frame: type[Frame], **fields: Any) -> str:
    return msgspec.json.encode(frame(timestamp=moment(timestamp), **fields)).decode()


def queue_status(body: dict[str, Any]) -> str:
    return msgspec.json.encode({"type": "queue_status", **body}).decode()


def event(fields: dict[str, Any]) -> str:
    """A row of the event log, as REST gives it."""
    return msgspec.json.encode(fields).decode()


def batch(events: Iterable[str]) -> str:
    """One frame of several that are encoded already."""
    return '{"type":"batch","events":[' + ",".join(events) + "]}"
