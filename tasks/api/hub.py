"""What concerns the hub as a whole: its workers, its event log, and tickets for its stream."""

from __future__ import annotations

import uuid
from collections import defaultdict
from typing import Annotated, Any, TypedDict

import msgspec
from django.db.models import Q
from msgspec import Meta
from rest_framework.request import Request
from rest_framework.response import Response

from tasks import access, cursor
from tasks.api.endpoint import Endpoint
from tasks.api.queries import read
from tasks.api.schema import operation
from tasks.cursor import Cursor
from tasks.database import database_now
from tasks.exceptions import FieldError, InvalidTask
from tasks.models import Task, Worker
from tasks.representation import event_json, maybe, moment

NOW = "now"


class CurrentTask(TypedDict):
    """A task that a worker holds."""

    id: str
    name: str
    queue: str
    started_at: str | None


class WorkerJSON(TypedDict):
    """One process. `online`: it holds its lease. `tasks` are those that the caller may see."""

    id: str
    host: str
    pid: int
    role: str
    online: bool
    started_at: str
    heartbeat_age_s: float
    tasks: list[CurrentTask]


class WorkerListJSON(TypedDict):
    """The workers that have not stopped."""

    results: list[WorkerJSON]


class TicketJSON(TypedDict):
    """Good for one connection within 30 s: `/api/v1/stream?ticket=…`."""

    ticket: str
    expires_at: str


class EventPageJSON(TypedDict):
    """Events as the stream sends them, the oldest first. Ask again with `cursor`, which lies behind the last of them.

    `recovered` is false when what follows `since` is no longer kept: then take the state from the lists, and go on.
    """

    results: list[dict[str, Any]]
    cursor: str
    recovered: bool


class EventQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`since` is a cursor, or `now` for the end of the log; without it the log is read from its beginning."""

    since: Annotated[str, Meta(min_length=1, max_length=20_000)] | None = None
    task_id: uuid.UUID | None = None
    limit: Annotated[int, Meta(ge=1, le=cursor.LIMIT)] = 100


class Workers(Endpoint):
    needs = {"GET": "view_workers"}

    @operation("The workers, and what each runs", {200: WorkerListJSON}, tag="hub", id="list_workers")
    def get(self, request: Request) -> Response:
        now, held = database_now(), self._held()
        workers = Worker.objects.filter(stopped_at=None, lost_at=None).order_by("pk")
        return Response({"results": [_worker(worker, now, held[worker.pk]) for worker in workers]})

    def _held(self) -> defaultdict[Any, list[Task]]:
        held: defaultdict[Any, list[Task]] = defaultdict(list)
        tasks = self.principal.visible(Task.objects.all()).processing().filter(worker__isnull=False)
        for task in tasks.only("name", "queue", "started_at", "worker").order_by("pk"):
            held[task.worker_id].append(task)
        return held


def _worker(worker: Worker, now: Any, tasks: list[Task]) -> WorkerJSON:
    return {
        "id": str(worker.pk),
        "host": worker.host,
        "pid": worker.pid,
        "role": worker.role,
        "online": worker.expires_at > now,
        "started_at": moment(worker.started_at),
        "heartbeat_age_s": max(0.0, round((now - worker.heartbeat_at).total_seconds(), 3)),
        "tasks": [
            {"id": str(task.pk), "name": task.name, "queue": task.queue, "started_at": maybe(task.started_at)}
            for task in tasks
        ],
    }


class StreamTickets(Endpoint):
    needs = {"POST": "read"}

    @operation("Make a ticket for one connection to the stream", {201: TicketJSON}, tag="hub", id="make_stream_ticket")
    def post(self, request: Request) -> Response:
        ticket, expires_at = access.make_ticket(self.principal)
        return Response({"ticket": ticket, "expires_at": moment(expires_at)}, status=201)


class Events(Endpoint):
    needs = {"GET": "read"}

    @operation("Read the event log", {200: EventPageJSON}, tag="hub", query=EventQuery, id="list_events")
    def get(self, request: Request) -> Response:
        query, head = read(request, EventQuery), cursor.head()
        since = _since(query, head)
        page = cursor.replay(since or head, head, query.limit, self._visible(query))
        results = [event_json(event, str(after)) for event, after in page.entries]
        return Response({"results": results, "cursor": str(page.end), "recovered": since is not None})

    def _visible(self, query: EventQuery) -> Q:
        own = Q() if self.principal.may("view_all_tasks") else Q(owner_id=self.principal.user.pk)
        return own & Q(task_id=query.task_id) if query.task_id else own


def _since(query: EventQuery, head: Cursor) -> Cursor | None:
    """None when the cursor was once good, perhaps, and is no longer."""
    if query.since is None:
        return Cursor(head.epoch, 0, 0)
    if query.since == NOW:
        return head
    if cursor.parse(query.since) is None:
        raise InvalidTask(FieldError("since", "This is no cursor."))
    return cursor.resume(query.since)
