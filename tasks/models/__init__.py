"""The tables. Rows only: what may happen to them is in `tasks.lifecycle`, the only writer of a task's state."""

from tasks.models.access import CallbackSecret, IdempotencyKey, SigninLink, StreamTicket, Token
from tasks.models.events import OwnerCount, QueueCount, TaskEvent
from tasks.models.hub import Marker, RateWindow
from tasks.models.pipelines import Pipeline, Step
from tasks.models.tasks import Attempt, DeadLetter, HandlerDuration, Queue, Task, TaskLog
from tasks.models.workers import Worker

__all__ = [
    "Attempt",
    "CallbackSecret",
    "DeadLetter",
    "HandlerDuration",
    "IdempotencyKey",
    "Marker",
    "OwnerCount",
    "Pipeline",
    "Queue",
    "QueueCount",
    "RateWindow",
    "SigninLink",
    "Step",
    "StreamTicket",
    "Task",
    "TaskEvent",
    "TaskLog",
    "Token",
    "Worker",
]
