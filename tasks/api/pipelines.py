"""`/pipelines`: the list, submitting one, one of them, and what may be done to it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Annotated, Literal, TypedDict

from django.contrib.auth import get_user_model
from django.db.models import Prefetch, Q
from django.urls import reverse
from drf_spectacular.utils import extend_schema_view
from msgspec import Meta
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from tasks import operations
from tasks.api import idempotency
from tasks.api.endpoint import Endpoint
from tasks.api.pages import cut, link, position_of
from tasks.api.permissions import SIGNED_IN
from tasks.api.queries import Page, read
from tasks.api.schema import IDEMPOTENCY_KEY, operation
from tasks.models import Pipeline, Step
from tasks.models.pipelines import PipelineQuerySet
from tasks.pipelines.definition import NewPipeline
from tasks.pipelines.submission import create
from tasks.representation import PipelineJSON, PipelineStatus, PipelineType, pipeline_json
from tasks.states import Actions
from tasks.submission import Name


class PipelineQuery(Page, kw_only=True):
    """Filters combine."""

    status: PipelineStatus | None = None
    name: Name | None = None
    pipeline_type: PipelineType | None = None
    owner: Annotated[str, Meta(min_length=1, max_length=150)] | None = None
    ordering: Literal["-created_at", "created_at"] = "-created_at"


class PipelinePageJSON(TypedDict):
    """A page of pipelines."""

    next: str | None
    previous: str | None
    results: list[PipelineJSON]


class Pipelines(Endpoint):
    needs = {"GET": "read", "POST": "submit_tasks"}
    body_limit = 8 * 1024 * 1024

    @operation(
        "List pipelines, the newest first",
        {200: PipelinePageJSON},
        tag="pipelines",
        query=PipelineQuery,
        id="list_pipelines",
    )
    def get(self, request: Request) -> Response:
        query = read(request, PipelineQuery)
        steps = Prefetch("steps", Step.objects.defer("template").order_by("index"))
        pipelines = self.principal.visible(Pipeline.objects.select_related("owner").prefetch_related(steps))
        page = cut(filtered(pipelines, query), position_of(query.cursor, query.ordering), query.size)
        results = [pipeline_json(pipeline, pipeline.steps.all()) for pipeline in page.rows]
        return Response(
            {"next": link(request, page.next), "previous": link(request, page.previous), "results": results}
        )

    @operation(
        "Submit a pipeline",
        {201: PipelineJSON, 200: PipelineJSON},
        tag="pipelines",
        body=NewPipeline,
        headers=(IDEMPOTENCY_KEY,),
        errors=(409, 413, 415, 422),
        id="submit_pipeline",
    )
    def post(self, request: Request) -> Response:
        user = self.principal.user
        (pipeline,), is_first = idempotency.once(request, lambda: [create(request.data, user)], Pipeline)
        address = request.build_absolute_uri(reverse("api:pipeline", args=[pipeline.pk]))
        shown = pipeline_json(pipeline, pipeline.plan)
        return Response(shown, status=201 if is_first else 200, headers={"Location": address})


def filtered(pipelines: PipelineQuerySet, query: PipelineQuery) -> PipelineQuerySet:
    return pipelines.filter(*_conditions(query))


def _conditions(query: PipelineQuery) -> Iterator[Q]:
    exact = {"status": query.status, "name": query.name, "pipeline_type": query.pipeline_type}
    yield Q(**{field: value for field, value in exact.items() if value is not None})
    if query.owner is not None:
        yield Q(owner_id__in=list(get_user_model().objects.filter(username=query.owner).values_list("pk", flat=True)))


class OnePipeline(Endpoint):
    needs = {"GET": "read"}

    @operation("Get a pipeline", {200: PipelineJSON}, tag="pipelines", errors=(404,), id="get_pipeline")
    def get(self, request: Request, id: uuid.UUID) -> Response:
        pipeline = self.principal.visible(Pipeline.objects.select_related("owner")).get(pk=id)
        return Response(pipeline_json(pipeline, pipeline.plan))


class PipelineAction(Endpoint):
    """One verb. Operators act on any pipeline that they see; owners cancel, pause and resume their own."""

    needs = {"POST": SIGNED_IN}
    action: Actions

    def post(self, request: Request, id: uuid.UUID) -> Response:
        owner_id = self.principal.reachable(Pipeline.objects.only("owner_id")).get(pk=id).owner_id
        if not self.principal.may_act(self.action, owner_id):
            raise PermissionDenied(f"To {self.action} this pipeline takes tasks.operate_tasks, and the scope operate.")
        pipeline = operations.operate_pipeline(id, self.action, self.principal.user)
        return Response(pipeline_json(pipeline, pipeline.plan))


SUMMARIES = {
    Actions.RETRY: "Go on from the steps that failed or were canceled",
    Actions.CANCEL: "Cancel a pipeline; steps that run are asked to stop",
    Actions.PAUSE: "Hold a pipeline; steps that run are asked to stop",
    Actions.RESUME: "Let a paused pipeline go on",
}
ACTIONS: dict[Actions, type[PipelineAction]] = {
    action: extend_schema_view(
        post=operation(summary, {200: PipelineJSON}, tag="operations", errors=(404, 409), id=f"{action}_pipeline")
    )(type(f"{action.title()}Pipeline", (PipelineAction,), {"action": action}))
    for action, summary in SUMMARIES.items()
}
