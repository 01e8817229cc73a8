"""Sockets for tests: the whole application, from the handshake to the database, in the test's own event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
import pytest_asyncio
from channels.testing import WebsocketCommunicator
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.contrib.auth import get_user_model

from realtime import database, receivers, routing, switchboard
from realtime.database import in_database
from realtime.switchboard import Switchboard
from tasks import hints
from tasks.access import make_token
from tests.realtime.servers import Server, running

PATIENCE_S = 10


class Client:
    """A socket's other end. `frames` holds everything that came, in order."""

    def __init__(self, path: str, headers: dict[str, str]) -> None:
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._communicator = WebsocketCommunicator(routing.application, path, headers=pairs)
        self.frames: list[dict[str, Any]] = []
        self._left = False

    async def open(self) -> None:
        accepted, _ = await self._communicator.connect(PATIENCE_S)
        assert accepted

    async def send(self, frame: dict[str, Any] | str | bytes) -> None:
        if isinstance(frame, bytes):
            await self._communicator.send_to(bytes_data=frame)
        else:
            await self._communicator.send_to(text_data=frame if isinstance(frame, str) else json.dumps(frame))

    async def next(self) -> dict[str, Any]:
        """The next frame. What a batch holds comes one by one."""
        frame = json.loads(await self._communicator.receive_from(PATIENCE_S))
        self.frames.append(frame)
        return frame

    async def until(self, type: str, **fields: Any) -> dict[str, Any]:
        """Reads on up to a frame of that type, with those fields."""
        while True:
            frame = await self.next()
            if frame["type"] == type and fields.items() <= frame.items():
                return frame

    async def subscribe(self, **fields: Any) -> dict[str, Any]:
        await self.send({"type": "subscribe", **fields})
        return await self.until("subscribed")

    async def events(self, count: int) -> list[dict[str, Any]]:
        """The next so many events of the log, whatever comes between."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            frame = await self.next()
            found += [event for event in frame.get("events", [frame]) if "event_id" in event]
        return found

    async def closed(self) -> int:
        """Reads on to the end, and gives its code."""
        while True:
            message = await self._communicator.receive_output(PATIENCE_S)
            if message["type"] == "websocket.close":
                return message["code"]
            self.frames.append(json.loads(message["text"]))

    async def is_silent(self) -> bool:
        """Whether a ping's answer is the next thing that comes: nothing else was on its way."""
        await self.send({"type": "ping"})
        return (await self.next())["type"] == "pong"

    async def leave(self) -> None:
        if not self._left:
            self._left = True
            await self._communicator.disconnect(timeout=PATIENCE_S)


@pytest_asyncio.fixture
async def board() -> AsyncIterator[Switchboard]:
    """The switchboard of the test's loop, stopped and gone before its database is."""
    here = switchboard.here()
    yield here
    await here.aclose()


@pytest_asyncio.fixture
async def connect(board: Switchboard) -> AsyncIterator[Callable[..., Any]]:
    """`await connect(path, token=..., headers=...)` opens a socket; all are closed in the end."""
    clients: list[Client] = []

    async def open(path: str = "/api/v1/stream", token: str = "", **headers: str) -> Client:
        if token:
            headers["authorization"] = f"Bearer {token}"
        client = Client(path, headers)
        clients.append(client)
        await client.open()
        return client

    yield open
    for client in clients:
        await client.leave()


@pytest.fixture
def sockets_on_postgres(on_postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The sockets' threads are new ones: those that there are keep the connections of another database."""
    with ThreadPoolExecutor(database.THREADS) as threads:
        monkeypatch.setattr(database, "_threads", lambda: threads)
        yield on_postgres
        wait(database.give_back())


MANY = {"TASKHUB_STREAM_CONNECTIONS": "2000"}


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def kind(request) -> str:
    """Of web server."""
    return request.param


@pytest.fixture
def server(kind, transactional_db) -> Iterator[Server]:
    """One that loses its patience soon, and lets in few sockets of each user."""
    limits = {"TASKHUB_STREAM_CONNECTIONS": "5"}
    with running(kind, application="tests.realtime.impatient:application", **limits) as server:
        yield server


@pytest.fixture
def one_server(kind, transactional_db) -> Iterator[list[Server]]:
    """SQLite, and one web process."""
    with running(kind, **MANY) as server:
        yield [server]


@pytest.fixture
def two_servers(sockets_on_postgres) -> Iterator[list[Server]]:
    """PostgreSQL without Redis, and two web processes."""
    with running("daphne", **MANY) as first, running("uvicorn", **MANY) as second:
        yield [first, second]


@pytest.fixture
def with_redis(sockets_on_postgres, redis_server, settings, monkeypatch) -> Iterator[list[Server]]:
    """PostgreSQL, Redis, and two web processes; we say what has changed through Redis too."""
    settings.REDIS_URL = redis_server.url
    layer = RedisPubSubChannelLayer(hosts=[redis_server.url])
    monkeypatch.setattr(receivers, "get_channel_layer", lambda: layer)
    for cached in (receivers._client, hints._backend):
        cached.cache_clear()
    with (
        running("daphne", REDIS_URL=redis_server.url, **MANY) as first,
        running("uvicorn", REDIS_URL=redis_server.url, **MANY) as second,
    ):
        yield [first, second]
    for cached in (receivers._client, hints._backend):
        cached.cache_clear()


async def make_user(name: str, **fields: Any) -> Any:
    return await in_database(get_user_model().objects.create_user, name, password=name, **fields)


async def token_of(user: Any, *scopes: str) -> str:
    _, raw = await in_database(make_token, user, scopes or ("read",))
    return raw


@pytest_asyncio.fixture
async def root(transactional_db) -> str:
    """The token of somebody who sees everything."""
    return await token_of(await make_user("root", is_superuser=True))


@pytest_asyncio.fixture
async def anna(transactional_db) -> tuple[Any, str]:
    """Somebody who sees only what is hers, and her token."""
    user = await make_user("anna")
    return user, await token_of(user)


@pytest.fixture
def settle() -> Callable[[], Any]:
    """Lets every task of the loop that can go on do so."""

    async def run() -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    return run
