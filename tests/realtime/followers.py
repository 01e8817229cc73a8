"""Clients that come back: whatever happens to their sockets, they go on from the last cursor that they were sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from typing import Any

import websockets

from tests.realtime.servers import PATIENCE_S, Server

TASKS = "/api/v1/tasks/stream"
AT_ONCE = struct.pack("ii", 1, 0)  # a socket that lingers for no time is closed by RST


class Follower:
    """Follows all tasks, at any of these servers each time, and keeps what it was sent."""

    def __init__(self, servers: Sequence[Server], token: str, ready: str = "subscribed", **options: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self.openings = 0
        self.is_ready = asyncio.Event()  # for the first time
        self._servers, self._token, self._ready, self._options = servers, token, ready, options
        self._cursor: str | None = None
        self._client: websockets.ClientConnection | None = None

    async def run(self) -> None:
        while True:
            with contextlib.suppress(websockets.WebSocketException, OSError):
                await self._follow()
            await asyncio.sleep(random.uniform(0.02, 0.08))

    async def _follow(self) -> None:
        since = f"?since={self._cursor}" if self._cursor else ""
        async with random.choice(self._servers).open(TASKS + since, self._token, **self._options) as self._client:
            async for text in self._client:
                self._take(json.loads(text))

    def _take(self, frame: dict[str, Any]) -> None:
        assert frame["type"] not in ("resync", "error"), frame
        assert frame.get("recovered", True)
        if frame["type"] == self._ready:
            self.openings += 1
            self.is_ready.set()
        if frame["type"] == "hello":
            self._cursor = self._cursor or frame.get("cursor")
        if "event_id" in frame:
            self._cursor = frame.get("cursor")
            self.events.append(frame)

    def cut(self) -> None:
        """As a broken network does it: without a word, and whatever is on its way is lost."""
        if self._client:
            with contextlib.suppress(OSError, AttributeError):
                self._client.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            self._client.transport.abort()

    @property
    def ids(self) -> list[str]:
        return [event["event_id"] for event in self.events]


@contextlib.asynccontextmanager
async def following(count: int, *args: Any, **options: Any) -> AsyncIterator[list[Follower]]:
    """So many, who all have been let in once. Raises what goes wrong in any of them."""
    followers = [Follower(*args, **options) for _ in range(count)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(follower.run()) for follower in followers]
        async with asyncio.timeout(PATIENCE_S):
            for follower in followers:
                await follower.is_ready.wait()
        yield followers
        for task in tasks:
            task.cancel()
