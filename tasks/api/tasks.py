"""`/tasks`: the list, and the two ways to submit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NotRequired, TypedDict

import msgspec
from django.urls import reverse
from msgspec import Meta
from rest_framework.request import Request
from rest_framework.response import Response

from tasks.api import idempotency
from tasks.api.endpoint import Endpoint
from tasks.api.pages import Cut, cut, link, position_of
from tasks.api.queries import TaskQuery, filtered, read
from tasks.api.schema import IDEMPOTENCY_KEY, operation
from tasks.api.search import WINDOW, search
from tasks.models import Task
from tasks.representation import TaskJSON, task_json
from tasks.submission import BULK_LIMIT, NewTask, build, build_many, convert, create_all


class Searched(TypedDict):
    """A page of a search looks at no more than `tasks` tasks; unless it is `complete`, `next` goes on behind them."""

    tasks: int
    complete: bool


class TaskPageJSON(TypedDict):
    """A page of tasks. `searched` is there with `q` or `tag`."""

    next: str | None
    previous: str | None
    results: list[TaskJSON]
    searched: NotRequired[Searched]


class NewTasks(TypedDict):
    """Up to 1,000 tasks, of which all are created or none."""

    tasks: Annotated[list[NewTask], Meta(min_length=1, max_length=BULK_LIMIT)]


class CreatedTasksJSON(TypedDict):
    """The tasks, in the order of the request."""

    tasks: list[TaskJSON]


class _Bulk(msgspec.Struct, forbid_unknown_fields=True):
    """`NewTasks` without a look at the tasks, which are checked one by one to name what is wrong in each."""

    tasks: Annotated[list[Any], Meta(min_length=1, max_length=BULK_LIMIT)]


class Tasks(Endpoint):
    needs = {"GET": "read", "POST": "submit_tasks"}

    @operation("List tasks, the newest first", {200: TaskPageJSON}, tag="tasks", query=TaskQuery, id="list_tasks")
    def get(self, request: Request) -> Response:
        query = read(request, TaskQuery)
        shown = Task.objects.select_related("owner").defer("state", "callback_headers")
        tasks = filtered(self.principal.visible(shown), query)
        position = position_of(query.cursor, query.ordering)
        if query.q is None and query.tag is None:
            return Response(_page(request, cut(tasks, position, query.size)))
        found, complete = search(tasks, query, position)
        return Response(_page(request, found) | {"searched": {"tasks": WINDOW, "complete": complete}})

    @operation(
        "Submit a task",
        {201: TaskJSON, 200: TaskJSON},
        tag="tasks",
        body=NewTask,
        headers=(IDEMPOTENCY_KEY,),
        errors=(409, 413, 415, 422),
        id="submit_task",
    )
    def post(self, request: Request) -> Response:
        principal = self.principal
        (task,), is_first = _once(request, lambda: [build(request.data, principal.user)])
        address = request.build_absolute_uri(reverse("api:task", args=[task.pk]))
        return Response(task_json(task), status=201 if is_first else 200, headers={"Location": address})


class BulkTasks(Endpoint):
    needs = {"POST": "submit_tasks"}
    body_limit = 8 * 1024 * 1024

    @operation(
        "Submit many tasks, all or none",
        {201: CreatedTasksJSON, 200: CreatedTasksJSON},
        tag="tasks",
        body=NewTasks,
        headers=(IDEMPOTENCY_KEY,),
        errors=(409, 413, 415, 422),
        id="submit_tasks",
    )
    def post(self, request: Request) -> Response:
        principal = self.principal
        tasks, is_first = _once(request, lambda: build_many(convert(request.data, _Bulk).tasks, principal.user))
        return Response({"tasks": [task_json(task) for task in tasks]}, status=201 if is_first else 200)


def _once(request: Request, make: Callable[[], list[Task]]) -> tuple[list[Task], bool]:
    """Create what `make` builds; with an Idempotency-Key that came before, find what it created then."""
    return idempotency.once(request, lambda: create_all(make(), actor=str(request.user)))


def _page(request: Request, page: Cut) -> dict[str, Any]:
    return {
        "next": link(request, page.next),
        "previous": link(request, page.previous),
        "results": [task_json(task) for task in page.rows],
    }
