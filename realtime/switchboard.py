"""All sockets of one process, and what works for all of them together: the feed, its wake-ups, counts, lines, rights.

It starts with the first socket, since daphne tells an application nothing of its own start, and rests after the last.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from weakref import WeakKeyDictionary

from django.conf import settings

from realtime.connection import Connection
from realtime.counts import Counts
from realtime.database import give_back
from realtime.feed import GAP_S, Feed, LogReplaced
from realtime.loglines import LogLines
from realtime.messages import RESTART
from realtime.persistence import persistently
from realtime.pulse import BATCH_S
from realtime.ring import Entry
from realtime.subscriptions import Index
from realtime.vigil import Vigil
from realtime.wakeups import DatabaseWatch, follow_group

TICK_S = 1.0

_boards: WeakKeyDictionary[asyncio.AbstractEventLoop, Switchboard] = WeakKeyDictionary()


def here() -> Switchboard:
    """The switchboard of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _boards:
        _boards[loop] = Switchboard()
    return _boards[loop]


def everywhere() -> list[tuple[asyncio.AbstractEventLoop, Switchboard]]:
    """Those with sockets, in this process; each may be touched in its own loop only."""
    return [(loop, board) for loop, board in list(_boards.items()) if board.connections and not loop.is_closed()]


class Switchboard:
    def __init__(self) -> None:
        self.connections: set[Connection] = set()
        self.index = Index()
        self.feed = Feed(self.index, self._after_read)
        self._counts = Counts(self.connections)
        self._lines = LogLines(self.connections)
        self._vigil = Vigil(self.connections)
        self._of_user: Counter[int] = Counter()
        self._tasks: list[asyncio.Task[None]] = []  # a task that nobody refers to may be collected, and fall silent
        self._watch: DatabaseWatch | None = None

    def admits(self, user_id: int) -> bool:
        """Whether this user may open one more socket here."""
        return self._of_user[user_id] < settings.TASKHUB_STREAM_CONNECTIONS

    def join(self, connection: Connection) -> None:
        self.connections.add(connection)
        self._of_user[connection.rights.user_id] += 1
        if not self._tasks:
            self._start()

    def leave(self, connection: Connection) -> None:
        connection.leave()
        self.connections.discard(connection)
        self._of_user[connection.rights.user_id] -= 1
        if not self.connections:
            self._rest()

    def close_all(self, code: int = RESTART) -> None:
        for connection in list(self.connections):
            connection.close(code)

    async def aclose(self) -> None:
        """Stop whatever runs, and wait for it: for tests, whose databases disappear."""
        tasks, watch = self._tasks, self._watch
        self._rest()
        await asyncio.gather(*tasks, *map(asyncio.wrap_future, give_back()), return_exceptions=True)
        if watch:
            await asyncio.to_thread(watch.join)
        self.feed.close()

    def _start(self) -> None:
        works: dict[str, Callable[[], Awaitable[None]]] = {
            "The feed": self._read,
            "The feed's group": partial(follow_group, self.feed.hint),
            "The stream's counts": self._counts.run,
            "The stream's log lines": self._lines.run,
            "The stream's rights": self._vigil.run,
            "The stream's clock": self._tick,
        }
        self._tasks = [asyncio.create_task(persistently(work, what), name=what) for what, work in works.items()]
        if not settings.REDIS_URL:
            self._watch = DatabaseWatch(self.feed.hint)
            self._watch.start()

    def _rest(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._watch:
            self._watch.stop()
        self._tasks, self._watch = [], None
        self.feed.rest()
        give_back()

    async def _read(self) -> None:
        try:
            await self.feed.run()
        except LogReplaced:
            self.close_all()  # whoever comes back is told by its cursor's refusal
            raise

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for connection in list(self.connections):
                connection.tick()
            self.feed.gap = BATCH_S if all(connection.batch for connection in self.connections) else GAP_S

    def _after_read(self, entries: list[Entry]) -> None:
        self._counts.after_read(entries)
        self._lines.after_read(entries)
