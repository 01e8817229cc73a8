"""`/tasks/{id}`: one task, its status for polling, what happened to it, and what may be done to it."""

from __future__ import annotations

import uuid
from typing import Any, TypedDict

from django.utils.cache import get_conditional_response
from drf_spectacular.utils import extend_schema_view
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from tasks import operations
from tasks.api.endpoint import Endpoint
from tasks.api.permissions import SIGNED_IN
from tasks.api.queries import Rest, read
from tasks.api.schema import operation
from tasks.models import Attempt, Task, TaskEvent, TaskLog
from tasks.representation import (
    AttemptJSON,
    HistoryJSON,
    LogJSON,
    TaskJSON,
    TaskStatusJSON,
    attempt_json,
    history_json,
    log_json,
    running_attempt_json,
    status_json,
    task_json,
)
from tasks.states import Actions, States


class HistoryPageJSON(TypedDict):
    """The oldest first; when there are more, `next` is the number to give as `after`."""

    results: list[HistoryJSON]
    next: int | None


class AttemptPageJSON(TypedDict):
    """The oldest first, the one that runs last; when there are more, `next` is the number to give as `after`."""

    results: list[AttemptJSON]
    next: int | None


class LogPageJSON(TypedDict):
    """The oldest first; when there are more, `next` is the number to give as `after`."""

    results: list[LogJSON]
    next: int | None


class OneTask(Endpoint):
    needs = {"GET": "read"}

    @operation("Get a task", {200: TaskJSON}, tag="tasks", errors=(404,), id="get_task")
    def get(self, request: Request, id: uuid.UUID) -> Response:
        return Response(task_json(self.principal.visible(Task.objects.select_related("owner")).get(pk=id)))


class TaskStatus(Endpoint):
    needs = {"GET": "read"}

    @operation(
        "Poll a task; with If-None-Match the answer is 304 until it changes",
        {200: TaskStatusJSON, 304: None},
        tag="tasks",
        errors=(404,),
        id="get_task_status",
    )
    def get(self, request: Request, id: uuid.UUID) -> Any:
        task = self.principal.visible(Task.objects.all()).get(pk=id)
        etag = f'"{task.pk}.{task.version}"'
        headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
        return get_conditional_response(request, etag=etag, response=Response(status_json(task), headers=headers))


class TaskHistory(Endpoint):
    needs = {"GET": "read"}

    @operation(
        "What happened to a task", {200: HistoryPageJSON}, tag="tasks", query=Rest, errors=(404,), id="get_task_events"
    )
    def get(self, request: Request, id: uuid.UUID) -> Response:
        rest, task = read(request, Rest), self.principal.visible(Task.objects.only("pk")).get(pk=id)
        rows = TaskEvent.objects.filter(task_id=task.pk, version__gt=rest.after).order_by("version")
        return _numbered([history_json(row) for row in rows[: rest.limit + 1]], rest, "version")


class TaskAttempts(Endpoint):
    needs = {"GET": "read"}

    @operation(
        "Each try of a task", {200: AttemptPageJSON}, tag="tasks", query=Rest, errors=(404,), id="get_task_attempts"
    )
    def get(self, request: Request, id: uuid.UUID) -> Response:
        rest, task = read(request, Rest), self.principal.visible(Task.objects.all()).get(pk=id)
        rows = Attempt.objects.filter(task=task, number__gt=rest.after).order_by("number")
        tries = [attempt_json(row) for row in rows[: rest.limit + 1]]
        if task.status == States.PROCESSING and task.tries > rest.after:
            tries.append(running_attempt_json(task))
        return _numbered(tries, rest, "number")


class TaskLogs(Endpoint):
    needs = {"GET": "read"}

    @operation(
        "What the handler logged", {200: LogPageJSON}, tag="tasks", query=Rest, errors=(404,), id="get_task_logs"
    )
    def get(self, request: Request, id: uuid.UUID) -> Response:
        rest, task = read(request, Rest), self.principal.visible(Task.objects.only("pk")).get(pk=id)
        rows = TaskLog.objects.filter(task=task, seq__gt=rest.after).order_by("seq")
        return _numbered([log_json(row) for row in rows[: rest.limit + 1]], rest, "seq")


def _numbered(rows: list[Any], rest: Rest, number: str) -> Response:
    shown = rows[: rest.limit]
    return Response({"results": shown, "next": shown[-1][number] if len(rows) > rest.limit else None})


class TaskAction(Endpoint):
    """One verb. Operators act on any task that they see; owners cancel, pause and resume their own."""

    needs = {"POST": SIGNED_IN}
    action: Actions

    def post(self, request: Request, id: uuid.UUID) -> Response:
        task = self.principal.reachable(Task.objects.select_related("owner")).get(pk=id)
        if not self.principal.may_act(self.action, task.owner_id):
            raise PermissionDenied(f"To {self.action} this task takes tasks.operate_tasks, and the scope operate.")
        changed = operations.operate(id, self.action, self.principal.user)
        changed.owner = task.owner  # read already
        return Response(task_json(changed))


SUMMARIES = {
    Actions.RETRY: "Run a failed task now",
    Actions.RESURRECT: "Give a dead-lettered or canceled task a new life",
    Actions.CANCEL: "Cancel a task; a running one is asked to stop",
    Actions.PAUSE: "Hold a task; a running one is asked to stop",
    Actions.RESUME: "Let a paused task go on",
}
ACTIONS: dict[Actions, type[TaskAction]] = {
    action: extend_schema_view(
        post=operation(summary, {200: TaskJSON}, tag="operations", errors=(404, 409), id=f"{action}_task")
    )(type(f"{action.title()}Task", (TaskAction,), {"action": action}))
    for action, summary in SUMMARIES.items()
}
