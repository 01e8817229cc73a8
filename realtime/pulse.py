"""The pace of batches: those of all connections leave together, so that whoever was sent the same events shares them.

A timer for each connection would cost more than its batch.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

BATCH_S = 0.05


class Batching(Protocol):
    def flush(self) -> None: ...


class Pulse:
    def __init__(self) -> None:
        self._due: set[Batching] = set()
        self._last = float("-inf")

    def join(self, connection: Batching) -> None:
        """Have it flushed with the next beat; the first after a pause comes at once."""
        if not self._due:
            loop = asyncio.get_running_loop()
            loop.call_at(max(loop.time(), self._last + BATCH_S), self._beat)
        self._due.add(connection)

    def _beat(self) -> None:
        due, self._due = self._due, set()
        self._last = asyncio.get_running_loop().time()
        for connection in due:
            connection.flush()
