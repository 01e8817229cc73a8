"""Rights that end and lines that die, as they are met over TCP: each ends its own socket, and no other."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
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
from tests.realtime.servers import PATIENCE_S, PINGS, Server, close_code, has_room, running, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]
TASKS = "/api/v1/tasks/stream"
SOON_S = 2.0  # what we promise; see realtime/vigil.py


def revoke(user, token: Token, browser: Client) -> None:
    assert browser.delete(f"/api/v1/tokens/{token.pk}").status_code == 204


def deactivate(user, token: Token, browser: Client) -> None:
    user.is_active = False
    user.save()


def log_out(user, token: Token, browser: Client) -> None:
    assert browser.post("/logout").status_code == 302


def change_password(user, token: Token, browser: Client) -> None:
    user.set_password("another")
    user.save()


BY_TOKEN, BY_SESSION = {"token", "first frame", "token's ticket"}, {"session", "session's ticket"}


@pytest.mark.parametrize(
    ("end", "ended"),
    [(revoke, BY_TOKEN), (log_out, BY_SESSION), (change_password, BY_SESSION), (deactivate, BY_TOKEN | BY_SESSION)],
)
async def test_an_end_of_token_session_or_user_ends_their_sockets_within_two_seconds(kind, settings, root, end, ended):
    """Whichever way they came in. The server is an ordinary one, which takes our sessions for its own."""
    user, browser = await make_user("anna"), Client()
    await in_database(browser.force_login, user)
    token, raw = await in_database(access.make_token, user, ["read"])
    program = Client(headers={"Authorization": f"Bearer {raw}"})
    cookie = browser.cookies[settings.SESSION_COOKIE_NAME].OutputString([])
    with running(kind, TASKHUB_SECRET_KEY=settings.SECRET_KEY) as server:
        page = {"Cookie": cookie, "Origin": f"http://127.0.0.1:{server.port}"}
        doors = {
            "token": server.open(TASKS, raw),
            "first frame": server.open(TASKS),
            "token's ticket": server.open(f"{TASKS}?ticket={await in_database(ticket_of, program)}"),
            "session": server.open(TASKS, additional_headers=page),
            "session's ticket": server.open(f"{TASKS}?ticket={await in_database(ticket_of, browser)}"),
            "somebody else's": server.open(TASKS, root),
        }
        async with contextlib.AsyncExitStack() as stack:
            sockets = {way: await stack.enter_async_context(door) for way, door in doors.items()}
            await sockets["first frame"].send(json.dumps({"type": "authenticate", "token": raw}))
            for socket in sockets.values():
                await until(socket, "subscribed")
            await somebodys_end_is_noticed(server)  # so that the others were looked at once, and found good
            await in_database(end, user, token, browser)
            async with asyncio.timeout(SOON_S):
                codes = await asyncio.gather(*(close_code(sockets[way]) for way in ended))
            assert set(codes) == {4401}
            task = await in_database(submit, "test.echo", owner=user)
            for way in sockets.keys() - ended:
                assert (await until(sockets[way], "task_created"))["task_id"] == str(task.pk)


async def somebodys_end_is_noticed(server: Server) -> None:
    token = await token_of(await make_user("bert"))
    async with server.open(TASKS, token) as client:
        await until(client, "subscribed")
        await in_database(access.revoke, Token.objects.filter(user__username="bert"))
        await close_code(client)


def ticket_of(client: Client) -> str:
    return client.post("/api/v1/stream-tickets").json()["ticket"]


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
