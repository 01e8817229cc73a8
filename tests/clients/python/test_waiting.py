"""Which events are an end, and that the whole thing is fetched then."""

from __future__ import annotations

import pytest

from taskhub_client import waiting
from taskhub_client.effects import Unreachable
from tests.clients.python.stage import Stage, answer, hello, page, subscribed, updated


def played(script, kind, shot, *events):
    snapshot = {"type": "snapshot", kind: {"id": "x", "version": 1} | shot}
    stage = Stage(hello(), subscribed(), snapshot, *events, answers=[page(), answer({"id": "x", "is": "whole"})])
    return stage.play(script)


@pytest.mark.parametrize("status", ["completed", "dead_lettered", "canceled"])
def test_a_task_is_over(status):
    assert played(waiting.for_task("x"), "task", {"status": status}) == {"id": "x", "is": "whole"}
    assert played(waiting.for_task("x"), "task", {"status": "processing"}, updated(2, "x", status))


@pytest.mark.parametrize("status", ["pending", "processing", "failed", "paused"])
def test_a_task_is_not_over(status):
    assert played(waiting.for_task("x"), "task", {"status": status}, updated(2, "x", status)) is None


@pytest.mark.parametrize(
    "end",
    [
        {"type": "PipelineCompleteEvent", "status": "COMPLETED"},
        {"type": "PipelineErrorEvent"},
        {"type": "pipeline_progress", "status": "canceled"},
    ],
)
def test_a_pipeline_is_over(end):
    event = {"event_id": "x:2", "cursor": "c", "pipeline_id": "x", "version": 2, **end}
    assert played(waiting.for_pipeline("x"), "pipeline", {"status": "processing"}, event)
    assert played(waiting.for_pipeline("x"), "pipeline", {"status": "failed"})


def test_a_hub_that_is_away_at_the_end_is_waited_for():
    over = {"type": "snapshot", "task": {"id": "x", "version": 1, "status": "completed"}}
    away = [Unreachable("refused")] * 20
    stage = Stage(hello(), subscribed(), over, answers=[page(), *away, answer({"id": "x", "is": "whole"})])
    assert stage.play(waiting.for_task("x")) == {"id": "x", "is": "whole"}


def test_a_step_is_not_the_end_of_its_pipeline():
    step = {"type": "StepCompleteEvent", "event_id": "x:2", "cursor": "c", "pipeline_id": "x", "version": 2}
    assert played(waiting.for_pipeline("x"), "pipeline", {"status": "processing"}, step) is None
