"""What came between two positions: from the ring, and from the database only what is no longer there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from django.db.models import Q

from realtime.database import in_database
from realtime.feed import Feed, encoded
from realtime.ring import Entry
from tasks import cursor
from tasks.cursor import Cursor

PAGE = 500


async def resume(feed: Feed, since: str) -> Cursor | None:
    """The position that a client kept, once the feed has come to it too; None when the log doesn't go on from there."""
    position = cursor.parse(since)
    if position is None or feed.ring.covers(position):
        return position
    if not await in_database(cursor.holds, position):
        return None
    if position.high > feed.position.high:  # another process was faster to read it
        await feed.caught_up()
    return position


async def between(feed: Feed, since: Cursor, until: Cursor, where: Q) -> AsyncIterator[list[Entry]]:
    """Pages in the feed's order, up to a position that it has reached. Only the database heeds `where`."""
    while True:
        entries = feed.ring.after(since, PAGE)
        if entries is None:
            entries, since = await from_database(since, until, where)
            yield entries
            if since == until:
                return
        else:
            inside = [entry for entry in entries if until.has(entry.id)]
            yield inside
            if len(inside) < PAGE:
                return
            since = inside[-1].after
            await asyncio.sleep(0)


async def from_database(since: Cursor, until: Cursor, where: Q) -> tuple[list[Entry], Cursor]:
    """The next page, and the position after it."""
    return await in_database(_read, since, until, where)


def _read(since: Cursor, until: Cursor, where: Q) -> tuple[list[Entry], Cursor]:
    page = cursor.replay(since, until, PAGE, where)
    return list(encoded(page, since)), page.end
