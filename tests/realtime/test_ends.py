"""Rights that end and lines that die, as they are met over TCP: each ends its own socket, and no other."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from realtime.database import in_database
from tasks import access, submit
from tasks.models import Token
from tests.chaos.proxy import Proxy
from tests.realtime.conftest import make_user, token_of
from tests.realtime.followers import following
from tests.realtime.servers import PATIENCE_S, close_code, has_room, running, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]
TASKS = "/api/v1/tasks/stream"


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def kind(request):
    return request.param


@pytest.fixture
def server(kind, settings):
    """It takes our sessions for its own."""
    secret = {"TASKHUB_SECRET_KEY": settings.SECRET_KEY}
    with running(kind, application="tests.realtime.impatient:application", **secret) as server:
        yield server


def revoked(user, browser) -> None:
    access.revoke(Token.objects.filter(user=user))


def deactivated(user, browser) -> None:
    user.is_active = False
    user.save()


def logged_out(user, browser: Client) -> None:
    browser.logout()


def password_changed(user, browser) -> None:
    user.set_password("another")
    user.save()


@pytest.mark.parametrize(
    ("by", "end"),
    [
        ("token", revoked), ("token", deactivated),
        ("session", logged_out), ("session", deactivated), ("session", password_changed),
    ],
)  # fmt: skip
async def test_an_end_of_token_session_or_user_ends_their_sockets(server, root, settings, by: str, end: Callable):
    user, browser = await make_user("anna"), Client()
    await in_database(browser.force_login, user)
    if by == "token":
        door = {"token": await token_of(user)}
    else:
        name = settings.SESSION_COOKIE_NAME
        cookie = f"{name}={browser.cookies[name].value}"
        door = {"additional_headers": {"Cookie": cookie, "Origin": f"http://127.0.0.1:{server.port}"}}
    async with server.open(TASKS, root) as witness, server.open(TASKS, **door) as client:
        await until(witness, "subscribed")
        await until(client, "subscribed")
        await in_database(end, user, browser)
        assert await close_code(client) == 4401
        task = await in_database(submit, "test.echo")
        assert (await until(witness, "task_created"))["task_id"] == str(task.pk)


async def test_a_permission_that_was_lost_ends_what_it_was_for(server, root):
    user = await make_user("anna")
    permission = await in_database(Permission.objects.get, codename="view_all_tasks")
    await in_database(user.user_permissions.add, permission)
    token, task = await token_of(user), await in_database(submit, "test.echo")
    async with server.open(f"/api/v1/tasks/{task.pk}/stream", token) as client, server.open(TASKS, token) as other:
        await until(client, "snapshot")
        await until(other, "subscribed")
        await in_database(user.user_permissions.remove, permission)
        assert await close_code(client) == 4403
        await in_database(submit, "test.echo", owner=await make_user("bert"))
        mine = await in_database(submit, "test.echo", owner=user)
        assert (await until(other, "task_created"))["task_id"] == str(mine.pk)


PINGS = {"daphne": "--ping-interval 1 --ping-timeout 1", "uvicorn": "--ws-ping-interval 1 --ws-ping-timeout 1"}


async def test_a_line_that_swallows_everything_is_given_up_at_both_ends(kind):
    """The hub's place is free again, and the client, once it gets through, has missed nothing."""
    token = await token_of(await make_user("root", is_superuser=True))
    limits = {"TASKHUB_STREAM_CONNECTIONS": "1"}
    with running(kind, options=PINGS[kind], **limits) as server, Proxy(server.port).running() as proxy:
        pings = {"ping_interval": 0.5, "ping_timeout": 0.5, "port": proxy.port}
        async with following(1, [server], token, **pings) as (follower,):
            await in_database(submit, "test.echo")
            await reaches(lambda: len(follower.events) == 1)
            with proxy.silent():
                await in_database(submit, "test.echo")
                await reaches(lambda: has_room(server, token))
            await in_database(submit, "test.echo")
            await reaches(lambda: len(follower.events) == 3)
            assert follower.openings >= 2
            assert len(set(follower.ids)) == 3


async def reaches(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not (await found if inspect.isawaitable(found := condition()) else found):
            await asyncio.sleep(0.05)
