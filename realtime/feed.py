"""Reads the event log, each event once in a process, and hands it to whoever subscribed to it.

It reads in a thread of its own with a database connection of its own: after a hint, and every second without one. What
it has read it keeps in a ring, for those who come back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import connection

from realtime import messages
from realtime.ring import EVENTS, Entry, Ring
from realtime.subscriptions import Index
from tasks import cursor
from tasks.cursor import Cursor, Page
from tasks.models import TaskEvent

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger(__name__)

SAFETY_S = 1.0  # the longest time without a look at the log
HOLES_S = 0.1  # while transactions are in flight that may still fill a hole
GAP_S = 0.005  # the least time between two reads
BURST = 500  # deliveries without a pause
PATIENCE_S = 10.0


class LogReplaced(Exception):
    """The log doesn't go on from where we stood: a backup was restored, or somebody truncated it."""


class Feed:
    def __init__(self, index: Index, after_read: Callable[[list[Entry]], None]) -> None:
        self._index, self._after_read = index, after_read
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feed")
        self._hinted, self._ready = asyncio.Event(), asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._ring: Ring | None = None
        self._rested = True
        self.gap = GAP_S

    @property
    def ring(self) -> Ring:
        assert self._ring is not None, "nobody may ask before `ready`"
        return self._ring

    @property
    def position(self) -> Cursor:
        return self.ring.end

    def hint(self) -> None:
        """The log may have grown."""
        self._hinted.set()

    async def ready(self) -> None:
        """Returns once there is a position. Raises `TimeoutError` when the database doesn't answer."""
        async with asyncio.timeout(PATIENCE_S):
            await self._ready.wait()

    async def caught_up(self) -> None:
        """Returns once everything has been read that is committed now. Raises `TimeoutError`."""
        read = asyncio.get_running_loop().create_future()
        self._waiting.append(read)
        self.hint()
        async with asyncio.timeout(PATIENCE_S):
            await read

    def rest(self) -> None:
        """Nobody listens any more, and `run` was canceled. The ring is kept, for those who come back soon."""
        self._rested = True
        self._ready.clear()

    def close(self) -> None:
        self._thread.shutdown(wait=True)

    # -- reading ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until it is canceled. Raises what the database raises, and goes on from its position when it is run again.

        Raises `LogReplaced` when there is no going on; run again it starts anew, at the head.
        """
        try:
            await self._begin()
            while True:
                await self._read_on()
                await asyncio.sleep(self.gap)
                await self._pause()
        finally:
            await asyncio.shield(self._in_thread(_disconnect))

    async def _begin(self) -> None:
        position = self._ring.end if self._ring else None
        goes_on = await self._in_thread(_goes_on, position, self._rested)
        replaced = not (goes_on or self._rested or self._ring is None)
        if not goes_on:
            self._ring = Ring(await self._in_thread(cursor.head))
        self._rested = False
        self._ready.set()
        if replaced:
            raise LogReplaced

    async def _read_on(self) -> None:
        self._hinted.clear()
        waiting, self._waiting = self._waiting, []
        try:
            while await self._read_page():
                pass
        except BaseException:
            self._waiting += waiting
            raise
        for read in waiting:
            if not read.done():
                read.set_result(None)

    async def _read_page(self) -> bool:
        """Read and deliver; True when more is waiting."""
        end, entries = await self._in_thread(_entries, self.position)
        delivered = 0
        for entry in entries:
            delivered += self._deliver(entry)
            if delivered >= BURST:
                delivered = 0
                await asyncio.sleep(0)  # receivers send what they got before they get more
        self.ring.extend([], end)
        self._after_read(entries)
        return len(entries) >= cursor.LIMIT

    def _deliver(self, entry: Entry) -> int:
        """To all who want it, at once: our position tells what everybody has been sent. Returns how many they are."""
        self.ring.extend([entry], entry.after)
        receivers = self._index.receivers(entry)
        for receiver in receivers:
            receiver.deliver(entry)
        return len(receivers)

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):  # `wait_for` would lose a cancellation now and then on Python 3.11
            async with asyncio.timeout(HOLES_S if self.position.holes else SAFETY_S):
                await self._hinted.wait()

    async def _in_thread(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))


def _goes_on(position: Cursor | None, rested: bool) -> bool:
    """Whether to read on from there: the log must hold it, and after a rest it should not be far away."""
    if position is None or not cursor.holds(position):
        return False
    return not rested or cursor.head().high - position.high < EVENTS


def _disconnect() -> None:
    connection.close()


def _entries(position: Cursor) -> tuple[Cursor, list[Entry]]:
    """What comes next, encoded, and the position after it."""
    page = cursor.read(position)
    return page.end, list(encoded(page, position))


def encoded(page: Page, position: Cursor) -> Iterator[Entry]:
    """The entries of a page that begins at `position`."""
    for event, after in page.entries:
        yield _entry(event, position, after)
        position = after


def _entry(event: TaskEvent, before: Cursor, after: Cursor) -> Entry:
    of_task = event.task_id is not None
    return Entry(
        id=event.id,
        type=event.type,
        task_id=str(event.task_id) if of_task else None,
        pipeline_id=None if of_task else str(event.pipeline_id),
        queue=event.queue,
        owner_id=event.owner_id,
        status=event.status,
        version=event.version,
        before=before,
        after=after,
        text=messages.event(event, str(after)),
    )
