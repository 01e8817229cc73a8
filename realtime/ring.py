"""The last events that the feed has read, encoded: what most replays are served from. Pure.

A thousand clients that come back after a restart of the network find what they missed here, without the database.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import islice

import msgspec

from tasks.cursor import Cursor, Hole

EVENTS = 20_000
BYTES = 32 * 1024 * 1024


class Entry(msgspec.Struct, eq=False):
    """An event, ready to be sent, with what is needed to tell who wants it.

    It has the id of its task or, if it tells of a pipeline itself, of that. `before` and `after` are the positions
    around it, in the order in which the feed read the log.
    """

    id: int
    type: str
    task_id: str | None
    pipeline_id: str | None
    queue: str
    owner_id: int | None
    status: str
    version: int
    before: Cursor
    after: Cursor
    text: str


class Ring:
    """Holds every event between two positions, `start` and `end`, as long as there is room."""

    def __init__(self, start: Cursor, events: int = EVENTS, size: int = BYTES) -> None:
        self.start = self.end = start
        self._events, self._size = events, size
        self._entries: list[Entry] = []
        self._held = 0  # characters

    def extend(self, entries: list[Entry], end: Cursor) -> None:
        """`end` is the position after the entries; it may say more than the last of them, of holes that closed."""
        self._entries += entries
        self._held += sum(len(entry.text) for entry in entries)
        self.end = end
        if len(self._entries) > self._events or self._held > self._size:
            self._drop()

    def after(self, cursor: Cursor, limit: int) -> list[Entry] | None:
        """What came after `cursor`, in order, at most `limit`; None when some of it may be gone or was never here."""
        if not self.covers(cursor):
            return None
        above = bisect_right(self._entries, cursor.high, key=_high)
        first = 0 if cursor.holes else above  # what filled its holes may have come before
        later = (self._entries[index] for index in range(first, len(self._entries)))
        return list(islice((entry for entry in later if not cursor.has(entry.id)), limit))

    def covers(self, cursor: Cursor) -> bool:
        """Whether everything that came after it is here."""
        start = self.start
        return (
            cursor.epoch == start.epoch
            and start.high <= cursor.high <= self.end.high
            and all(hole.first > start.high or _is_within(hole, start.holes, start.high) for hole in cursor.holes)
            and self._tag(cursor.high) == cursor.tag
        )

    def _tag(self, high: int) -> int | None:
        """The tag of the event with that id, if it is here: a cursor that names another one is of another history."""
        if high == self.start.high:
            return self.start.tag
        index = bisect_right(self._entries, high - 1, key=_high)
        after = self._entries[index].after if index < len(self._entries) else self.end
        return after.tag if after.high == high else None

    def _drop(self) -> None:
        """A tenth more than must go, so that this is seldom."""
        count, room = 0, 0.9 * self._size
        while len(self._entries) - count > 0.9 * self._events or self._held > room:
            self._held -= len(self._entries[count].text)
            count += 1
        self.start = self._entries[count - 1].after
        del self._entries[:count]


def _high(entry: Entry) -> int:
    return entry.after.high


def _is_within(hole: Hole, others: tuple[Hole, ...], high: int) -> bool:
    last = min(hole.last, high)
    return any(other.first <= hole.first and last <= other.last for other in others)
