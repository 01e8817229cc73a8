"""What a page offers its reader. It offers only what would work; the API decides again when it is asked for."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import msgspec
from django.conf import settings

from tasks import registry, welcome
from tasks.access import Principal
from tasks.models import Pipeline, Step, Task
from tasks.pipelines import verbs
from tasks.registry import Handler
from tasks.states import Actions, allowed


def operations(reader: Principal, task: Task) -> list[Actions]:
    """The operator's verbs that this task accepts from this reader."""
    open = {action for action in allowed(task.status) if reader.may_act(action, task.owner_id)}
    if task.requested or task.deferred_until:
        open.discard(Actions.PAUSE)
    if task.requested == Actions.CANCEL:
        open.discard(Actions.CANCEL)
    return [verb for verb in allowed(task.status) if verb in open]


def pipeline_operations(reader: Principal, pipeline: Pipeline, steps: Sequence[Step]) -> list[Actions]:
    """The operator's verbs that this pipeline accepts from this reader."""
    return [verb for verb in verbs.allowed(pipeline, steps) if reader.may_act(verb, pipeline.owner_id)]


def handlers() -> list[dict[str, Any]]:
    """What the dialog for a new task knows of each handler; `example` is a payload to start from."""
    return [
        {
            "name": handler.name,
            "queue": handler.queue,
            "max_attempts": handler.max_attempts,
            "summary": handler.summary,
            "example": example(handler),
        }
        for handler in registry.handlers()
    ]


def first_task() -> dict[str, Any] | None:
    """What an empty hub suggests to submit, and where the token for it is; None when there are no handlers."""
    suggested = welcome.example()
    for handler in registry.handlers():
        if handler.name == suggested:
            return {"body": {"name": handler.name, "payload": example(handler)}, "token": _token()}
    return None


def _token() -> str:
    """For a shell. In development `make run` keeps one in a file."""
    path = settings.DATA / "token"
    return f"$(cat {shlex.quote(welcome.shown(path))})" if settings.DEVELOPMENT else "$TASKHUB_TOKEN"


BLANKS: dict[type, Any] = {
    msgspec.inspect.StrType: "",
    msgspec.inspect.IntType: 0,
    msgspec.inspect.FloatType: 0,
    msgspec.inspect.BoolType: False,
    msgspec.inspect.ListType: [],
    msgspec.inspect.DictType: {},
}


def example(handler: Handler) -> dict[str, Any]:
    """A blank for each argument that must be given."""
    described = msgspec.inspect.type_info(handler.arguments)
    assert isinstance(described, msgspec.inspect.StructType)
    return {field.name: BLANKS.get(type(field.type)) for field in described.fields if field.required}
