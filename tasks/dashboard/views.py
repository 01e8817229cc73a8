"""The task list and the page of one task, each whole or in part: a page that is open asks for its parts again."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from tasks import counts, cursor
from tasks.access import Principal, session_principal
from tasks.dashboard import offers, waiting
from tasks.dashboard.listing import ROWS, listing
from tasks.dashboard.listing import rows as listed_rows
from tasks.exceptions import InvalidTask
from tasks.models import Task, TaskEvent

STORY = (TaskEvent.Types.CREATED, TaskEvent.Types.UPDATED)  # what the timeline tells; progress has its bar
LATEST = 500  # events, attempts and log lines that a task's page shows
Page = Callable[..., HttpResponse]


def for_readers(page: Callable[..., HttpResponse]) -> Page:
    """Calls `page(request, reader, …)` for people who are signed in; others sign in first. Nothing of it is cached."""

    @never_cache
    @require_safe
    @vary_on_headers("HX-Request")
    @wraps(page)
    def view(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        try:
            if not request.user.is_authenticated:
                return _sign_in_first(request)
            return page(request, session_principal(request.user, request.session.session_key or ""), **kwargs)
        except InvalidTask as invalid:
            raise BadRequest(str(invalid)) from invalid
        except (OperationalError, InterfaceError):
            return _database_away()

    return view


def is_part(request: HttpRequest) -> bool:
    """Whether an open page asks, which needs only what changes on it."""
    return request.headers.get("HX-Request") == "true"


def _sign_in_first(request: HttpRequest) -> HttpResponse:
    if is_part(request):  # a redirect would put the sign-in page into the middle of this one
        return HttpResponse(status=401, headers={"HX-Refresh": "true"})
    return redirect_to_login(request.get_full_path())


def _database_away() -> HttpResponse:
    """Without the request: a page that knows its reader would ask the database."""
    return HttpResponse(render_to_string("503.html"), status=503, headers={"Retry-After": "5"})


@for_readers
def dashboard(request: HttpRequest, reader: Principal) -> HttpResponse:
    context = {
        "reader": reader,
        "section": "tasks",
        "cursor": cursor.head(),
        "list": listing(request, reader),
        "may_submit": reader.may("submit_tasks"),
        "first": offers.first_task() if reader.may("submit_tasks") else None,
    }
    if is_part(request):
        return render(request, "dashboard/_list.html", context)
    return render(request, "dashboard/list.html", context | _totals(reader) | {"handlers": offers.handlers()})


@for_readers
def rows(request: HttpRequest, reader: Principal) -> HttpResponse:
    """Those of `?ids=…` that belong on the list, as table rows."""
    try:
        ids = {uuid.UUID(text) for text in request.GET.get("ids", "").split(",")[: 2 * ROWS] if text}
    except ValueError:
        raise BadRequest("ids must be task ids, separated by commas.") from None
    return render(request, "dashboard/_rows.html", {"reader": reader, "tasks": listed_rows(request, reader, ids)})


@for_readers
def task(request: HttpRequest, reader: Principal, id: uuid.UUID) -> HttpResponse:
    position = cursor.head()
    shown = get_object_or_404(reader.visible(Task.objects.select_related("owner", "worker", "pipeline")), pk=id)
    history = TaskEvent.objects.filter(task_id=id, type__in=STORY)
    context = {
        "reader": reader,
        "section": "task",
        "cursor": position,
        "task": shown,
        "reason": waiting.reason(shown),
        "events": history.order_by("-version")[:LATEST],
        "attempts": shown.attempts.order_by("-number")[:LATEST],
        "logs": list(shown.logs.order_by("-seq")[:LATEST])[::-1],
    }
    return render(request, "dashboard/_task.html" if is_part(request) else "dashboard/task.html", context)


def _totals(reader: Principal) -> dict[str, Any]:
    """The numbers on top and the queues to choose from, for those who may see the hub as a whole."""
    if not reader.may("view_queues"):
        return {}
    hub = counts.queue_status()
    return {"totals": hub, "queue_names": [queue["name"] for queue in hub["queues"]]}
