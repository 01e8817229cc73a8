"""Reads the event log, each event once in a process, and hands it to whoever subscribed to it.

It reads in a thread of its own with a database connection of its own: after a hint, and every second without one. What
it has read it keeps in a ring, for those who come back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import connection

from realtime import messages
from realtime.pulse import Pulse
from realtime.ring import EVENTS, Entry, Ring
from realtime.subscriptions import Index, Receiver
from tasks import cursor
from tasks.cursor import Cursor, Event, Page
from tasks.representation import event_json

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger(__name__)

SAFETY_S = 1.0  # the longest time without a look at the log
HOLES_S = 0.1  # while transactions are in flight that may still fill a hole
GAP_S = 0.005  # the least time between two reads
LONGEST_GAP_S = 0.05  # however much there is to read
DELIVERIES, SIZE = 5000, 64 * 1024  # without a pause; the size of what each receiver gets at once, in characters
PATIENCE_S = 10.0


class LogReplaced(Exception):
    """The log doesn't go on from where we stood: a backup was restored, or somebody truncated it."""


class Feed:
    def __init__(self, index: Index, after_read: Callable[[list[Entry]], None]) -> None:
        self._index, self._after_read = index, after_read
        self._now = asyncio.get_running_loop().time
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feed")
        self._hinted, self._ready = asyncio.Event(), asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._ring: Ring | None = None
        self._rested = True
        self.gap = GAP_S
        self.pulse = Pulse()

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
                began = self._now()
                events = await self._read_on()
                await asyncio.sleep(self._gap_after(events, self._now() - began))
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

    def _gap_after(self, events: int, took: float) -> float:
        """A read costs the same, however little it brings, and each event of it waits for half the gap: over both, by
        the square root of how many there were. A machine that is short of breath is given some."""
        return min(LONGEST_GAP_S, max(took, self.gap * math.sqrt(max(1, events))))

    async def _read_on(self) -> int:
        """Returns how many events there were."""
        self._hinted.clear()
        waiting, self._waiting = self._waiting, []
        events = 0
        try:
            while True:
                events += (count := await self._read_page())
                if count < cursor.LIMIT:
                    break
        except BaseException:
            self._waiting += waiting
            raise
        for read in waiting:
            if not read.done():
                read.set_result(None)
        return events

    async def _read_page(self) -> int:
        """Read and deliver."""
        end, entries = await self._in_thread(_entries, self.position)
        for some, shares in self._portions(entries):
            self.ring.extend(some, some[-1].after)  # our position tells what everybody has been sent
            for receiver, share in shares.items():
                receiver.deliver(share)
            await asyncio.sleep(0)  # receivers send what they got before they get more
        self.ring.extend([], end)
        self._after_read(entries)
        return len(entries)

    def _portions(self, entries: list[Entry]) -> Iterator[tuple[list[Entry], dict[Receiver, list[Entry]]]]:
        """As many events as may be delivered at once, and what of them is whose."""
        left = deque(entries)
        while left:
            some, shares, deliveries, size = [], defaultdict(list), 0, 0
            while left and deliveries < DELIVERIES and size < SIZE:
                some.append(entry := left.popleft())
                receivers = self._index.receivers(entry)
                for receiver in receivers:
                    shares[receiver].append(entry)
                deliveries, size = deliveries + len(receivers), size + len(entry.text)
            yield some, shares

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


def _entry(event: Event, before: Cursor, after: Cursor) -> Entry:
    of_task, fields = event.task_id is not None, event_json(event, str(after))
    return Entry(
        id=event.id,
        type=event.type,
        task_id=fields["task_id"] if of_task else None,
        pipeline_id=None if of_task else fields["pipeline_id"],
        queue=event.queue,
        owner_id=event.owner_id,
        status=event.status,
        version=event.version,
        before=before,
        after=after,
        text=messages.event(fields),
    )
