"""Every address of the hub, by role. A route without an entry fails: whoever adds one says here who may use it.

The columns are: nobody, viewer, submitter, operator, admin, each signed in by session. A submitter sees their own tasks
only, and the task that is asked for here is somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import get_resolver

from tasks import access
from tasks.models import Pipeline
from tasks.pipelines import verbs
from tests.factories import make_task
from tests.tasks.pipelines.factories import make_pipeline

ROLES = ("nobody", "viewer", "submitter", "operator", "admin")

EVERYBODY = "200 200 200 200 200"
SIGNED_IN = "401 200 200 200 200"
SEES_IT = "401 200 404 200 200"
OPERATES_IT = "401 403 404 200 200"
PAGE = "302 200 200 200 200"

ROUTES = {
    "GET api/v1/tasks": SIGNED_IN,
    "POST api/v1/tasks": "401 403 400 400 400",
    "POST api/v1/tasks/bulk": "401 403 400 400 400",
    "GET api/v1/tasks/<uuid:id>": SEES_IT,
    "GET api/v1/tasks/<uuid:id>/status": SEES_IT,
    "GET api/v1/tasks/<uuid:id>/events": SEES_IT,
    "GET api/v1/tasks/<uuid:id>/attempts": SEES_IT,
    "GET api/v1/tasks/<uuid:id>/logs": SEES_IT,
    "POST api/v1/tasks/<uuid:id>/retry": OPERATES_IT,
    "POST api/v1/tasks/<uuid:id>/resurrect": OPERATES_IT,
    "POST api/v1/tasks/<uuid:id>/cancel": OPERATES_IT,
    "POST api/v1/tasks/<uuid:id>/pause": OPERATES_IT,
    "POST api/v1/tasks/<uuid:id>/resume": OPERATES_IT,
    # A receiver's, with the token of the attempt as the only credential.
    "POST api/v1/tasks/<uuid:id>/result": "401 401 401 401 401",
    "POST api/v1/tasks/<uuid:id>/progress": "401 401 401 401 401",
    "GET api/v1/pipelines": SIGNED_IN,
    "POST api/v1/pipelines": "401 403 400 400 400",
    "GET api/v1/pipelines/<uuid:id>": SEES_IT,
    "POST api/v1/pipelines/<uuid:id>/retry": OPERATES_IT,
    "POST api/v1/pipelines/<uuid:id>/cancel": OPERATES_IT,
    "POST api/v1/pipelines/<uuid:id>/pause": OPERATES_IT,
    "POST api/v1/pipelines/<uuid:id>/resume": OPERATES_IT,
    "GET api/v1/queue/status": SIGNED_IN,
    "GET api/v1/queue/tasks": SIGNED_IN,
    "GET api/v1/queues": SIGNED_IN,
    "POST api/v1/queues/<str:name>/pause": "401 403 403 200 200",
    "POST api/v1/queues/<str:name>/resume": "401 403 403 200 200",
    "GET api/v1/workers": "401 200 403 200 200",
    "GET api/v1/events": SIGNED_IN,
    "POST api/v1/stream-tickets": "401 201 201 201 201",
    "GET api/v1/tokens": SIGNED_IN,
    "POST api/v1/tokens": "401 201 201 201 201",
    "DELETE api/v1/tokens/<uuid:id>": "401 404 404 404 404",
    "GET api/v1/schema": SIGNED_IN,
    "GET api/v1/docs": SIGNED_IN,
    "GET healthz": EVERYBODY,
    "GET readyz": EVERYBODY,
    "GET metrics": "401 200 403 200 200",
    "GET ": PAGE,
    "GET tasks/rows": PAGE,
    "GET tasks/<uuid:id>/": "302 200 404 200 200",
    "GET pipelines/": PAGE,
    "GET pipelines/<uuid:id>/": "302 200 404 200 200",
    "GET account/callback-secret": PAGE,
    "POST account/callback-secret": "302 400 400 400 400",
    "GET login": EVERYBODY,
    "POST logout": "302 302 302 302 302",
    "GET signin/<str:raw>": EVERYBODY,
    "POST signin/<str:raw>": "410 410 410 410 410",
    # The demo, in development only: a receiver of callbacks, which asks for a signature, and its switches.
    "GET demo/": PAGE,
    "POST demo/receiver": "401 401 401 401 401",
    "POST demo/receiver/broken": "401 401 401 401 401",
    "POST demo/receiver/later": "401 401 401 401 401",
    "POST demo/receiver/break": "302 302 302 302 302",
    "POST demo/receiver/repair": "302 302 302 302 302",
    "POST demo/receiver/finish": "302 302 302 302 302",
}
STAFF = dict.fromkeys(ROLES, 302)  # to the admin's login; what staff may do there is told in tests/tasks/admin

UNUSUAL = {"admin/login/", "admin/logout/"}

PIPELINE_STATUS_FOR = {"retry": "canceled", "resume": "paused"}
STATUS_FOR = {"retry": "failed", "resurrect": "dead_lettered", "resume": "paused"}


def routes(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from routes(pattern.url_patterns, route)
        else:
            yield route, pattern


ALL = list(routes(get_resolver().url_patterns))


@pytest.fixture
def clients(db):
    clients = {role: Client() for role in ROLES}
    for role in ROLES[1:]:
        user = get_user_model().objects.create_user(role)
        user.groups.add(Group.objects.get(name=role))
        clients[role].force_login(user)
    return clients


def make_pipeline_in(status: str, owner: Any) -> Pipeline:
    pipeline = make_pipeline(owner=owner)
    verb = {"canceled": verbs.cancel, "paused": verbs.pause}.get(status)
    return verb(pipeline.pk, "test") if verb else pipeline


def address(route: str, owner: Any) -> str:
    """The route with a task, a token, a queue and so on of somebody else's in its places."""
    if "/tokens/<uuid:id>" in route:
        route = route.replace("<uuid:id>", str(access.make_token(owner, {"read"})[0].pk))
    if "pipelines/<uuid:id>" in route:
        status = PIPELINE_STATUS_FOR.get(route.rpartition("/")[2], "pending")
        route = route.replace("<uuid:id>", str(make_pipeline_in(status, owner).pk))
    if "<uuid:id>" in route:
        status = STATUS_FOR.get(route.rpartition("/")[2], "pending")
        route = route.replace("<uuid:id>", str(make_task(status, owner=owner).pk))
    return "/" + route.replace("<str:name>", "default").replace("<str:raw>", "unknown")


@pytest.mark.parametrize("line", list(ROUTES))
def test_who_may_use_it(clients, alice, line):
    method, _, route = line.partition(" ")
    got = {role: clients[role].generic(method, address(route, alice)).status_code for role in ROLES}
    assert got == dict(zip(ROLES, map(int, ROUTES[line].split()), strict=True))


@pytest.mark.parametrize("route", [route for route, _ in ALL if route.startswith("admin/") and route not in UNUSUAL])
def test_the_admin_is_for_staff(clients, route):
    place = re.sub(r"<[^>]+>|\^?\(.*\)/?\$", "1", route)
    assert {role: client.get(f"/{place}").status_code for role, client in clients.items()} == STAFF


def test_every_route_has_its_line():
    told = {line.partition(" ")[2] for line in ROUTES}
    missing = [route for route, _ in ALL if route not in told and not route.startswith("admin/")]
    assert missing == []


def test_no_line_is_of_a_route_that_is_gone():
    assert {line.partition(" ")[2] for line in ROUTES} - {route for route, _ in ALL} == set()


def test_each_method_of_the_api_has_its_line():
    for route, pattern in ALL:
        view = getattr(pattern.callback, "view_class", None)
        if needs := getattr(view, "needs", None):
            assert {f"{method} {route}" for method in needs} == {line for line in ROUTES if line.endswith(f" {route}")}
