"""Storing a new pipeline."""

from __future__ import annotations

from typing import Any

from tasks import backlog
from tasks.database import transactional
from tasks.idempotency import once
from tasks.models import Pipeline
from tasks.pipelines.advance import start
from tasks.pipelines.definition import define


def submit(request: Any, owner: Any = None, idempotency_key: str | None = None) -> Pipeline:
    """Submit a pipeline from Python; `request` is the REST body.

    Inside `transaction.atomic()` it commits or rolls back with it. The same `idempotency_key` within 24 hours returns
    the first pipeline. Raises `InvalidTask`, `KeyReused` for a key that came with another request, and `BacklogFull`.
    """
    if idempotency_key is None:
        return create(request, owner)
    pipelines, _ = once("python", "pipelines", idempotency_key, request, lambda: [create(request, owner)], Pipeline)
    return pipelines[0]


@transactional
def create(request: Any, owner: Any = None, actor: str | None = None) -> Pipeline:
    """Check and store a pipeline, with the tasks of its first steps. Raises `InvalidTask`, and `BacklogFull`.

    Tasks of later steps are never refused: what has begun goes on.
    """
    pipeline, steps = define(request, owner)
    backlog.demand_room(pipeline.owner_id, sum(not step.depends_on for step in steps))
    start(pipeline, steps, actor or str(owner or "python"))
    return pipeline
