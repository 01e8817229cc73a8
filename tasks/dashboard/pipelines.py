"""The list of pipelines, and the page of one: its graph, its steps, its story."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from tasks import cursor
from tasks.access import Principal
from tasks.api.pages import cut, link, position_of
from tasks.api.pipelines import PipelineQuery, filtered
from tasks.dashboard import offers
from tasks.dashboard.drawing import Box, Drawing, Line, draw
from tasks.dashboard.views import for_readers, is_part
from tasks.documents import check_document
from tasks.models import Pipeline, Step, TaskEvent
from tasks.models.pipelines import Statuses
from tasks.states import States
from tasks.submission import convert

ROWS = 50
FILTERS = ("status", "name", "owner")
LATEST = 500  # events that a page shows
PIPS = 40  # steps that a row of the list shows one by one
OF_TASK = ("percent", "progress_message", "attempt", "max_attempts", "status", "error", "started_at", "finished_at")


@for_readers
def pipelines(request: HttpRequest, reader: Principal) -> HttpResponse:
    query = _query(request)
    steps = Prefetch("steps", Step.objects.only("pipeline_id", "index", "name", "status").order_by("index"))
    rows = reader.visible(Pipeline.objects.defer("input", "result").select_related("owner").prefetch_related(steps))
    page = cut(filtered(rows, query), position_of(query.cursor, query.ordering), query.size)
    context = {
        "reader": reader,
        "section": "pipelines",
        "cursor": cursor.head(),
        "filters": {name: value for name in FILTERS if (value := getattr(query, name))},
        "statuses": Statuses.values,
        "pipelines": page.rows,
        "newer": link(request, page.previous),
        "older": link(request, page.next),
        "pips": PIPS,
    }
    template = "dashboard/_pipelines.html" if is_part(request) else "dashboard/pipelines.html"
    return render(request, template, context)


def _query(request: HttpRequest) -> PipelineQuery:
    """What the address asks for. Raises `InvalidTask` naming what makes no sense; passes over what it does not know."""
    given: dict[str, Any] = {name: value for name in (*FILTERS, "cursor") if (value := request.GET.get(name))}
    check_document(given)
    return convert(given | {"limit": ROWS}, PipelineQuery)


@dataclass(frozen=True, slots=True)
class Node:
    """A step where it is drawn."""

    step: Step
    box: Box

    @property
    def href(self) -> str | None:
        return str(self.step.task_id) if self.step.task_id else None


@for_readers
def pipeline(request: HttpRequest, reader: Principal, id: uuid.UUID) -> HttpResponse:
    position = cursor.head()
    shown = get_object_or_404(reader.visible(Pipeline.objects.select_related("owner")), pk=id)
    tasks = [f"task__{column}" for column in OF_TASK]
    steps = list(shown.plan.select_related("task").only(*_of_step(), *tasks))
    history = TaskEvent.objects.filter(pipeline_id=id, task_id=None).order_by("-version")
    drawing = draw({step.name: step.depends_on for step in steps})
    context = {
        "reader": reader,
        "section": "pipeline",
        "cursor": position,
        "pipeline": shown,
        "steps": steps,
        "operations": offers.pipeline_operations(reader, shown, steps),
        "drawing": drawing,
        "nodes": [Node(step, drawing.boxes[step.name]) for step in steps],
        "lines": _lines(drawing, steps),
        "message": history.exclude(message="").values_list("message", flat=True).first(),
        "events": history.exclude(type=TaskEvent.Types.PIPELINE_PROGRESS)[:LATEST],
        "failed": next((step for step in steps if shown.error and step.name == shown.error["step"]), None),
    }
    return render(request, "dashboard/_pipeline.html" if is_part(request) else "dashboard/pipeline.html", context)


def _of_step() -> list[str]:
    return [field.name for field in Step._meta.concrete_fields if field.name != "template"]


def _lines(drawing: Drawing, steps: list[Step]) -> list[tuple[Line, bool]]:
    """Each with whether that has been passed along it which it stands for."""
    complete = {step.name for step in steps if step.status == States.COMPLETED}
    return [(line, line.start in complete) for line in drawing.lines]
