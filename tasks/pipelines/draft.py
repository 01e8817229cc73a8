"""A pipeline as Python writes it.

(
    pipeline("nightly", input={"day": "2026-11-22"})
    .step("extract", "demo.extract", {"day": INPUT})
    .step("load", "demo.load", {"rows": result("extract")})
    .submit()
)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.models import Pipeline
from tasks.pipelines.references import INPUT as INPUT_KEY
from tasks.pipelines.references import RESULT
from tasks.pipelines.submission import submit
from tasks.submission import plain

INPUT = {INPUT_KEY: True}  # in a payload: the pipeline's input


def result(step: str) -> dict[str, str]:
    """In a payload: what the step called so has returned."""
    return {RESULT: step}


class Draft:
    """The REST body in the making; `request` is what has been written of it."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request

    def step(
        self,
        name: str,
        handler: str | None = None,
        payload: Mapping[str, Any] | None = None,
        *,
        depends_on: Sequence[str] = (),
        **options: Any,
    ) -> Draft:
        """The same pipeline with one more step. `options` are a task's other fields (`callback_url`, `queue` ...)."""
        about = {"name": name, "handler": handler, "payload": dict(payload or {}), "depends_on": list(depends_on)}
        return Draft(self.request | {"steps": [*self.request["steps"], _without_none(about | options)]})

    def submit(self, *, owner: Any = None, idempotency_key: str | None = None) -> Pipeline:
        """Store it. Raises `InvalidTask` naming each wrong field, and `KeyReused`."""
        return submit(self.request, owner, idempotency_key)


def pipeline(name: str, *, input: Any = None, pipeline_type: str = "sequential") -> Draft:
    """A pipeline without steps: add them with `step`, and `submit`."""
    return Draft({"name": name, "pipeline_type": pipeline_type, "input": plain("input", input), "steps": []})


def _without_none(step: dict[str, Any]) -> dict[str, Any]:
    return {field: plain(field, value) for field, value in step.items() if value is not None}
