"""The events of a pipeline: what they say, and in which order they are told. Each is one version of the pipeline."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from tasks.changes import RESULT_LIMIT
from tasks.models import Pipeline, Step, TaskEvent

T = TaskEvent.Types


class Story:
    """What is being told of one pipeline, whose row is locked: `rows` are for the log."""

    def __init__(self, pipeline: Pipeline, now: dt.datetime, actor: str) -> None:
        self._pipeline, self._now, self._actor = pipeline, now, actor
        self.rows: list[TaskEvent] = []

    def pipeline_started(self) -> None:
        pipeline = self._pipeline
        self._tell(T.PIPELINE_STARTED, pipeline_type=pipeline.pipeline_type, **_carried("input", pipeline.input))

    def step_started(self, step: Step) -> None:
        self._tell(T.STEP_STARTED, step_name=step.name, step_index=step.index, task_id=str(step.task_id))

    def step_completed(self, step: Step, result: Any) -> None:
        took = _milliseconds(step.started_at, step.finished_at)
        about: dict[str, Any] = {"step_name": step.name, "step_index": step.index, "duration_ms": took}
        self._tell(T.STEP_COMPLETED, **about, **_carried("result", result))

    def step_failed(self, step: Step, error: dict[str, Any]) -> None:
        self._tell(T.STEP_FAILED, step_name=step.name, step_index=step.index, error=error)

    def progressed(self, message: str) -> None:
        about: dict[str, Any] = {"current_step": self._pipeline.current_step, "total_steps": self._pipeline.total_steps}
        self._tell(T.PIPELINE_PROGRESS, message, **about)

    def pipeline_completed(self) -> None:
        pipeline = self._pipeline
        took = _milliseconds(pipeline.started_at, pipeline.finished_at)
        about: dict[str, Any] = {"pipeline_type": pipeline.pipeline_type, "status": "COMPLETED", "duration_ms": took}
        self._tell(T.PIPELINE_COMPLETED, **about, **_carried("result", pipeline.result))

    def pipeline_failed(self) -> None:
        self._tell(T.PIPELINE_FAILED, error=self._pipeline.error)

    def _tell(self, type: str, message: str = "", **data: Any) -> None:
        pipeline = self._pipeline
        pipeline.version += 1
        event = TaskEvent(
            type=type,
            pipeline_id=pipeline.pk,
            version=pipeline.version,
            status=pipeline.status,
            actor=self._actor[:200],
            message=message[:500],
            data=data,
            name=pipeline.name,
            queue="",
            owner_id=pipeline.owner_id,
            timestamp=self._now,
        )
        self.rows.append(event)


def _carried(name: str, value: Any) -> dict[str, Any]:
    """An event carries what is small; the rest is read from the pipeline or the task."""
    if len(msgspec.json.encode(value)) > RESULT_LIMIT:
        return {name: None, f"{name}_omitted": True}
    return {name: value}


def _milliseconds(start: dt.datetime | None, end: dt.datetime | None) -> int:
    return max(0, round((end - start).total_seconds() * 1000)) if start and end else 0
