"""What one socket has not been sent yet: bounded for events, and in order. Pure."""

from __future__ import annotations

from collections import deque

from realtime.ring import Entry

EVENTS = 512
SIZE = 1024 * 1024  # characters


class Outbox:
    """Events, which are shared with all other sockets, and finished frames of this one's own, which always fit."""

    def __init__(self) -> None:
        self._items: deque[Entry | str] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def is_full(self) -> bool:
        return len(self._items) >= EVENTS or self._size > SIZE

    def put(self, item: Entry | str) -> None:
        self._items.append(item)
        if isinstance(item, Entry):
            self._size += len(item.text)

    def take(self, most: int) -> list[Entry] | str:
        """The next frame, or the next events up to the next frame, at most so many."""
        first = self._items.popleft()
        if isinstance(first, str):
            return first
        taken = [first]
        while self._items and len(taken) < most and isinstance(entry := self._items[0], Entry):
            taken.append(entry)
            self._items.popleft()
        self._size -= sum(len(entry.text) for entry in taken)
        return taken

    def put_back(self, entries: list[Entry]) -> None:
        """What was taken and could not be sent."""
        self._items.extendleft(reversed(entries))
        self._size += sum(len(entry.text) for entry in entries)

    def clear(self) -> None:
        self._items.clear()
        self._size = 0
