"""Entries of the feed, made by hand."""

from __future__ import annotations

from typing import Any

from realtime.ring import Entry
from tasks.cursor import Cursor

EPOCH = "00000000"


def unframed(data: bytes) -> list[str]:
    """The texts of unmasked frames, as a client reads them."""
    texts = []
    while data:
        size, start = data[1], 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, start = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
        texts.append(data[start : start + size].decode())
        data = data[start + size :]
    return texts


def position(high: int, *holes: Any) -> Cursor:
    return Cursor(EPOCH, high, high % 1000 + 1, holes)


def entry(id: int, before: Cursor | None = None, after: Cursor | None = None, **fields: Any) -> Entry:
    """An event of task `t`, in the order of ids unless told otherwise."""
    defaults: dict[str, Any] = {
        "type": "task_updated", "task_id": "t", "pipeline_id": None, "queue": "q", "owner_id": None,
        "status": "pending", "version": id, "text": f'{{"id":{id}}}',
    }  # fmt: skip
    return Entry(id=id, before=before or position(id - 1), after=after or position(id), **defaults | fields)
