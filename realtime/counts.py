"""The frames `queue_status`: soon after the counts change, at most twice a second, and every 30 seconds anyway."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any
from weakref import WeakKeyDictionary

from realtime import messages
from realtime.connection import Connection
from realtime.database import in_database
from realtime.ring import Entry
from tasks.counts import queue_status

GAP_S = 0.5
DRIFT_S = 30.0  # workers come and go, and queues are paused, without an event


class Counts:
    def __init__(self, connections: Collection[Connection]) -> None:
        self._connections = connections
        self._may_differ = True
        self._told: WeakKeyDictionary[Connection, dict[str, Any]] = WeakKeyDictionary()
        self._told_all_at = float("-inf")

    def after_read(self, entries: list[Entry]) -> None:
        self._may_differ |= any(entry.type != "task_progress" for entry in entries)

    async def run(self) -> None:
        while True:
            if wanting := [connection for connection in self._connections if connection.wants_counts]:
                await self._tell(wanting)
            await asyncio.sleep(GAP_S)

    async def _tell(self, wanting: list[Connection]) -> None:
        now = asyncio.get_running_loop().time()
        is_drift = now - self._told_all_at >= DRIFT_S
        if not (self._may_differ or is_drift or any(connection not in self._told for connection in wanting)):
            return
        self._may_differ = False
        body = await in_database(queue_status)
        gist, frame = _gist(body), messages.queue_status(body)
        for connection in wanting:
            if is_drift or self._told.get(connection) != gist:
                self._told[connection] = gist
                connection.count(frame)
        if is_drift:
            self._told_all_at = now


def _gist(body: dict[str, Any]) -> dict[str, Any]:
    """Without what moves by itself: the clock, and how long the oldest task has waited."""
    queues = [{**queue, "oldest_pending_s": None} for queue in body["queues"]]
    return {**body, "timestamp": None, "queues": queues}
