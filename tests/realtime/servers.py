"""Real web servers over the test's own database, and real clients of theirs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import websockets
from django.db import connection
from websockets.asyncio.client import ClientConnection

from tests.services import free_port

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30
COMMANDS = {
    "daphne": "-m daphne --no-server-name -v 0 -p {port} --websocket_timeout -1 {options} {application}",
    "uvicorn": "-m uvicorn --log-level warning --port {port} {options} {application}",
}
PINGS = {"daphne": "--ping-interval 1 --ping-timeout 1", "uvicorn": "--ws-ping-interval 1 --ws-ping-timeout 1"}


class Server:
    """One web process of the kind that it is named after."""

    def __init__(self, kind: str, application: str = "taskhub.asgi:application", options: str = "", **env: str) -> None:
        self.port = free_port()
        command = COMMANDS[kind].format(port=self.port, options=options, application=application)
        self._command = [sys.executable, *command.split()]
        self._env = {**os.environ, "TASKHUB_ENV": "development", "DATABASE_URL": database_url(), **env}
        self._process: subprocess.Popen[bytes] | None = None
        self._data = tempfile.TemporaryDirectory(prefix="taskhub-server-")

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def start(self) -> Server:
        self._process = subprocess.Popen(self._command, cwd=ROOT, env={**self._env, "TASKHUB_DATA": self._data.name})
        end = time.monotonic() + PATIENCE_S
        while socket.socket().connect_ex(("127.0.0.1", self.port)):
            assert self._process.poll() is None, "the server has ended"
            assert time.monotonic() < end, "the server does not listen"
            time.sleep(0.05)
        return self

    def stop(self, signum: int = signal.SIGKILL) -> None:
        if self._process:
            self._process.send_signal(signum)
            self._process.wait(PATIENCE_S)
            self._process = None

    def tell(self, signum: int) -> None:
        os.kill(self.pid, signum)

    @contextlib.asynccontextmanager
    async def open(
        self, path: str = "/api/v1/stream", token: str = "", port: int = 0, **options: Any
    ) -> AsyncIterator[ClientConnection]:
        """`port` is that of a proxy before it."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"ws://127.0.0.1:{port or self.port}{path}"
        options = {"compression": None, **options}
        async with websockets.connect(url, **{"additional_headers": headers, **options}) as client:
            yield client


async def has_room(server: Server, token: str) -> bool:
    """Whether one more socket of that user is let in."""
    with contextlib.suppress(websockets.ConnectionClosed):
        async with server.open("/api/v1/stream", token) as fresh:
            return (await receive(fresh))["type"] == "hello"
    return False


@contextlib.contextmanager
def running(kind: str, **options: Any) -> Iterator[Server]:
    server = Server(kind, **options).start()
    try:
        yield server
    finally:
        server.stop()


def database_url() -> str:
    """The address of the database that this test uses."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{settings['NAME']}"
    return f"postgres://{settings['USER']}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"


async def receive(client: ClientConnection) -> dict[str, Any]:
    return json.loads(await asyncio.wait_for(client.recv(), PATIENCE_S))


async def until(client: ClientConnection, type: str) -> dict[str, Any]:
    while (frame := await receive(client))["type"] != type:
        pass
    return frame


async def close_code(client: ClientConnection) -> int:
    """Reads on to the end."""
    try:
        while True:
            await receive(client)
    except websockets.ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


def resident(pid: int) -> int:
    """Memory of a process, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
