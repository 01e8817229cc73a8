"""What each close code means to our clients, over real sockets: whether to come back or to give up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Iterator

import pytest
from websockets.sync.server import serve

from realtime.messages import HEARTBEAT_S
from taskhub_client import APIError, AsyncClient, Client, following
from tests.clients.codes import COMES_BACK, CUT

ENOUGH = 4401


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(following, "backoff", lambda failures: 0.01)


@contextlib.contextmanager
def closing(code: int) -> Iterator[tuple[str, list[dict]]]:
    """The address of a hub that greets, hears what is wanted, and closes with `code`; and what it has heard."""
    heard: list[dict] = []

    def handle(connection) -> None:
        connection.send(json.dumps({"type": "hello", "cursor": "c1", "heartbeat_s": HEARTBEAT_S}))
        heard.append(json.loads(connection.recv()))
        if len(heard) == 3:  # it is clear by now that this client comes back
            connection.close(ENOUGH)
        elif code == CUT:
            connection.socket.shutdown(socket.SHUT_RDWR)
        else:
            connection.close(code)

    with serve(handle, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}", heard
        server.shutdown()


def follow(url: str) -> None:
    with Client(url, "token") as client, client.stream(since="c0") as events:
        list(events)


async def follow_async(url: str) -> None:
    async with AsyncClient(url, "token") as client, client.stream(since="c0") as events:
        async for _ in events:
            pass


@pytest.mark.parametrize(("code", "comes_back"), COMES_BACK.items())
@pytest.mark.parametrize("follows", [follow, lambda url: asyncio.run(follow_async(url))], ids=["sync", "async"])
def test_a_client_comes_back_exactly_when_the_table_says_so(code, comes_back, follows):
    with closing(code) as (url, heard), pytest.raises(APIError, match=str(ENOUGH if comes_back else code)):
        follows(url)
    assert len(heard) == (3 if comes_back else 1)
