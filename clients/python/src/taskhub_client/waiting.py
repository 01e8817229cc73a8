"""Waiting for the end of a task or a pipeline, as scripts. They outlive cut sockets and restarts of the hub."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TypeVar

from taskhub_client import calls
from taskhub_client.effects import Script, Tell
from taskhub_client.errors import APIError, Unavailable
from taskhub_client.following import Following
from taskhub_client.types import Event, Pipeline, Task

R = TypeVar("R")

OVER = {"completed", "dead_lettered", "canceled"}
PIPELINE_OVER = {"completed", "failed", "canceled"}
LAST_EVENTS = {"PipelineCompleteEvent", "PipelineErrorEvent"}


def for_task(id: str) -> Script[Task]:
    """The task, once it has ended, in whichever way."""
    following = Following([{"task_id": str(id), "events": ["task_updated"]}])
    yield from _until(lambda event: event.get("task", event).get("status") in OVER, following)
    return (yield from _patiently(calls.task, id))


def for_pipeline(id: str) -> Script[Pipeline]:
    """The pipeline, once it has ended, in whichever way."""
    following = Following([{"pipeline_id": str(id)}])
    yield from _until(_is_over, following)
    return (yield from _patiently(calls.pipeline, id))


def _is_over(event: Event) -> bool:
    return event["type"] in LAST_EVENTS or event.get("pipeline", event).get("status") in PIPELINE_OVER


def _until(is_wanted: Callable[[Event], bool], following: Following) -> Script[None]:
    """Drives the stream up to an event; nobody else is told of any."""
    script = following.run()
    outcome = None
    while True:
        effect = script.send(outcome)
        outcome = None
        if not isinstance(effect, Tell):
            outcome = yield effect
            continue
        assert not isinstance(effect.event, APIError), "the refusal of an only subscription is raised"
        if is_wanted(effect.event):
            return


def _patiently(ask: Callable[[str], Script[R]], id: str) -> Script[R]:
    """The answer, however long the hub is away now: it was there when the wait began."""
    while True:
        with contextlib.suppress(Unavailable):
            return (yield from ask(id))
