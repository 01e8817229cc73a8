"""Receivers on the loopback, well-behaved and hostile, and a resolver that says what a test wants."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tasks.callbacks.guard import AddressPolicy
from tasks.callbacks.request import Callback, Sender
from tasks.callbacks.signature import generate_secret

LOOPBACK = AddressPolicy.parse("127.0.0.0/8, ::1")
SECRET = generate_secret()
RawHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def make_callback(url: str, **fields) -> Callback:
    defaults = {
        "task_id": "01890a5d-ac96-774b-bcce-b302099a8057",
        "payload": {"month": "2026-11"},
        "secrets": [SECRET],
        "attempt": 1,
        "attempt_token": "token",
        "task_url": "https://hub.example/api/v1/tasks/01890a5d-ac96-774b-bcce-b302099a8057",
        "timeout": 10,
    }
    return Callback(url=url, **defaults | fields)


@pytest.fixture
async def sender():
    async with Sender(LOOPBACK, "TaskHub/test") as sender:
        yield sender


@pytest.fixture
async def receive():
    """Start an HTTP server around an aiohttp handler; gives the URL to call."""
    servers = []

    async def start(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        servers.append(TestServer(app))
        await servers[-1].start_server()
        return str(servers[-1].make_url("/hook"))

    yield start
    for server in servers:
        await server.close()


@pytest.fixture
async def listen():
    """Start a server that reads a request's head and then does what `handler` says, byte by byte."""
    servers, conversations = [], set()

    async def start(handler: RawHandler, **options) -> str:
        async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            conversations.add(asyncio.current_task())
            with suppress(ConnectionError, asyncio.IncompleteReadError), closing(writer):
                await reader.readuntil(b"\r\n\r\n")
                await handler(reader, writer)

        servers.append(await asyncio.start_server(converse, "127.0.0.1", 0, **options))
        return f"http://127.0.0.1:{servers[-1].sockets[0].getsockname()[1]}/hook"

    yield start
    for server in servers:
        server.close()
    for conversation in conversations:
        conversation.cancel()
    await asyncio.gather(*conversations, return_exceptions=True)


@pytest.fixture
def dns(monkeypatch):
    """A dictionary from names to their addresses, or to a function that gives them; real lookups for numbers only."""
    table: dict[str, list[str] | Callable[[], list[str]]] = {}
    real = socket.getaddrinfo

    def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
        if host not in table:
            return real(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)
        answer = table[host]
        addresses = answer() if callable(answer) else answer
        return [info for ip in addresses for info in real(ip, port, 0, type, proto, socket.AI_NUMERICHOST)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return table
