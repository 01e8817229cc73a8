"""`/queue/…` and `/queues`: how much there is, what runs now, and the switch of each queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

from django.http import Http404
from drf_spectacular.utils import extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from tasks import counts, queues
from tasks.api.endpoint import Endpoint
from tasks.api.pages import cut, link, position_of
from tasks.api.queries import Page, read
from tasks.api.schema import operation
from tasks.database import database_now
from tasks.models import Task
from tasks.registry import NAME
from tasks.representation import ActiveTaskJSON, active_json


class QueueJSON(TypedDict):
    """`oldest_pending_s`: for how long the task that is due longest has waited; null when nothing is due."""

    name: str
    pending: int
    active: int
    failed: int
    dead_lettered: int
    oldest_pending_s: float | None
    paused: bool


class QueueStatusJSON(TypedDict):
    """The whole hub, with every change that was committed before the request."""

    total_tasks: int
    active_tasks: int
    pending_tasks: int
    workers_online: int
    by_status: dict[str, int]
    queues: list[QueueJSON]
    timestamp: str


class QueueListJSON(TypedDict):
    """Each queue that holds tasks or that an operator has touched, by name."""

    results: list[QueueJSON]


class ActiveTaskPageJSON(TypedDict):
    """A page of the tasks that run now."""

    next: str | None
    previous: str | None
    results: list[ActiveTaskJSON]


class QueueStatus(Endpoint):
    needs = {"GET": "view_queues"}

    @operation("How much there is, by status and queue", {200: QueueStatusJSON}, tag="queues", id="get_queue_status")
    def get(self, request: Request) -> Response:
        return Response(counts.queue_status())


class ActiveTasks(Endpoint):
    needs = {"GET": "read"}

    @operation("The tasks that run now", {200: ActiveTaskPageJSON}, tag="queues", query=Page, id="list_active_tasks")
    def get(self, request: Request) -> Response:
        query, now = read(request, Page), database_now()
        tasks = self.principal.visible(Task.objects.select_related("owner")).processing()
        page = cut(tasks, position_of(query.cursor, "created_at"), query.size)
        results = [active_json(task, now) for task in page.rows]
        return Response(
            {"next": link(request, page.next), "previous": link(request, page.previous), "results": results}
        )


class Queues(Endpoint):
    needs = {"GET": "view_queues"}

    @operation("The queues", {200: QueueListJSON}, tag="queues", id="list_queues")
    def get(self, request: Request) -> Response:
        return Response({"results": counts.queues()})


class QueueSwitch(Endpoint):
    needs = {"POST": "operate_queues"}
    switch: Callable[[str, Any], bool]

    def post(self, request: Request, name: str) -> Response:
        """Saying it twice changes nothing. A queue may be paused before its first task comes."""
        if not NAME.fullmatch(name):
            raise Http404
        type(self).switch(name, self.principal.user)
        return Response(counts.queue(name))


@extend_schema_view(
    post=operation("Let a queue start nothing", {200: QueueJSON}, tag="operations", errors=(404,), id="pause_queue")
)
class PauseQueue(QueueSwitch):
    switch = staticmethod(queues.pause)


@extend_schema_view(
    post=operation("Let a queue go on", {200: QueueJSON}, tag="operations", errors=(404,), id="resume_queue")
)
class ResumeQueue(QueueSwitch):
    switch = staticmethod(queues.resume)
