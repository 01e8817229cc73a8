"""Every address of the contract leads to a socket."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from realtime import routing
from realtime.database import in_database
from tasks.groups import make_groups
from tests.factories import make_task
from tests.realtime.conftest import token_of
from tests.tasks.pipelines.factories import make_pipeline

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("path", "subscribed"),
    [("/api/v1/stream", None), ("/api/v1/tasks/stream", {"task_id": "*"})],
)
async def test_addresses_that_anybody_may_follow(connect, root, path, subscribed):
    client = await connect(path, token=root)
    assert (await client.next())["type"] == "hello"
    if subscribed:
        assert subscribed.items() <= (await client.next()).items()
    assert await client.is_silent() or subscribed


@pytest.mark.parametrize("kind", ["tasks", "pipelines"])
async def test_addresses_of_one_thing(connect, root, kind):
    client = await connect(f"/api/v1/{kind}/{uuid.uuid4()}/stream", token=root)
    assert await client.closed() == 4404


# -- by role -------------------------------------------------------------------------------------------------------

ROLES = ("nobody", "viewer", "submitter", "operator", "admin")
OPEN, SHUT, UNKNOWN = "hello", 4401, 4404
ANYBODY = (SHUT, OPEN, OPEN, OPEN, OPEN)
SEES_IT = (SHUT, OPEN, UNKNOWN, OPEN, OPEN)  # a submitter's own things only, and this is somebody else's

PATHS = {
    "api/v1/stream": ANYBODY,
    "api/v1/tasks/stream": ANYBODY,
    "api/v1/tasks/<str:id>/stream": SEES_IT,
    "api/v1/pipelines/<str:id>/stream": SEES_IT,
    "": (UNKNOWN,) * len(ROLES),
}


def test_every_path_has_its_line():
    assert {str(route.pattern) for route in routing.application.routes} == PATHS.keys()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("path", PATHS)
async def test_who_may_follow_it(connect, transactional_db, path, role):
    place, token = await in_database(_place, path), await _token(role)
    client = await connect(place, token=token)
    if not token:
        await client.send({"type": "authenticate", "token": "th_unknown"})
    expected = PATHS[path][ROLES.index(role)]
    if expected == OPEN:
        await client.send({"type": "ping"})
        await client.until("pong")
        assert client.frames[0]["type"] == OPEN
    else:
        assert await client.closed() == expected
        assert [frame for frame in client.frames if frame["type"] != OPEN] == []


def _place(path: str) -> str:
    """The path with somebody else's task or pipeline in it."""
    owner = get_user_model().objects.create_user("owner")
    row = make_pipeline(owner=owner) if "pipelines" in path else make_task(owner=owner)
    return "/" + path.replace("<str:id>", str(row.pk))


async def _token(role: str) -> str:
    """That of a member of the ready-made group; nobody has none."""
    return "" if role == "nobody" else await token_of(await in_database(_member, role))


def _member(role: str) -> Any:
    make_groups()
    user = get_user_model().objects.create_user(role)
    user.groups.add(Group.objects.get(name=role))
    return user
