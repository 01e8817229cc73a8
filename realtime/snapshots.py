"""A single thing as it is now, for who subscribes to it. Asks the database: call it in a database thread."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.db.models import Max

from realtime.messages import Key
from tasks.access import Principal
from tasks.models import Pipeline, Task, TaskLog
from tasks.representation import pipeline_json, task_json


@dataclass(frozen=True, slots=True)
class Shot:
    """`fields` are the frame's; the rest tells what need not be sent any more."""

    fields: dict[str, Any]
    owner_id: int | None
    version: int
    log_seq: int


def take(principal: Principal, key: Key) -> Shot | None:
    """None when there is no such thing, or none that the principal may see: the two look the same."""
    try:
        wanted = uuid.UUID(key.value)
    except ValueError:
        return None
    return _task(principal, wanted) if key.name == "task_id" else _pipeline(principal, wanted)


def _task(principal: Principal, task_id: uuid.UUID) -> Shot | None:
    last = TaskLog.objects.filter(task=task_id).aggregate(last=Max("seq"))["last"] or 0
    task = principal.visible(Task.objects.all()).select_related("owner").filter(pk=task_id).first()
    return Shot({"task": task_json(task)}, task.owner_id, task.version, last) if task else None


def _pipeline(principal: Principal, pipeline_id: uuid.UUID) -> Shot | None:
    pipeline = Pipeline.objects.visible_to(principal.user).select_related("owner").filter(pk=pipeline_id).first()
    if pipeline is None or not principal.sees(pipeline.owner_id):
        return None
    shown = pipeline_json(pipeline, pipeline.plan)
    return Shot({"pipeline": shown}, pipeline.owner_id, pipeline.version, 0)
