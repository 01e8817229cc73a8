"""Reading the event log in order, from a position that survives restarts: the cursor.

The database gives an id before the transaction commits, so on PostgreSQL ids may appear late and out of order. A cursor
therefore says the highest id that has been read and which ids below it may still come: its holes. A hole is delivered
when it fills. It closes when every transaction that could fill it has ended and one more look found nothing; never by
time. SQLite has one writer, whose ids come in the order of their commits, and no holes.

Per task the order is exact: a task's next change waits for the row lock of the one before.

Used by the live stream's feed (`head`, `read`), its replays and `GET /events` (`resume`, `head`, `replay`).
"""

from __future__ import annotations

import datetime as dt
import re
import secrets
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Max, Min, Q

from tasks import tail
from tasks.models import Marker, TaskEvent
from tasks.tail import LARGEST_ID, Row

EPOCH = "log_epoch"  # the marker; another database, or a log begun anew, has another one
LIMIT = 500  # events a page
MOST_HOLES = 1000  # a cursor with more of them cannot be resumed
MARGIN = dt.timedelta(minutes=1)  # between reading the clock and writing the event, in one transaction

FORMAT = re.compile(r"([0-9a-f]{8})\.([0-9a-f]{1,16})\.([0-9a-f]{1,8})((?:_[0-9a-f]{1,16}(?:-[0-9a-f]{1,16})?)*)")


class Hole(NamedTuple):
    """Ids that may still appear. `owners` are the transactions that may bring them, as `pg_locks` names them."""

    first: int
    last: int
    owners: frozenset[str] = frozenset()


class Cursor(NamedTuple):
    """A position in the log; `str` makes the opaque text that clients keep.

    `high` is the highest id that has been read, `tag` tells that event from one that another history put in its place
    (a restored backup, say) and is 0 where the log was empty. `holes` are in ascending order.
    """

    epoch: str
    high: int
    tag: int
    holes: tuple[Hole, ...] = ()

    def has(self, event_id: int) -> bool:
        """Whether the event lies before this position."""
        return event_id <= self.high and not any(hole.first <= event_id <= hole.last for hole in self.holes)

    def __str__(self) -> str:
        text = f"{self.epoch}.{self.high:x}.{self.tag:x}"
        above = self.high
        for hole in reversed(self.holes):
            text += f"_{above - hole.last:x}" + (f"-{hole.last - hole.first:x}" if hole.last > hole.first else "")
            above = hole.first
        return text


Event = Row | TaskEvent  # alike for all that read them


class Page(NamedTuple):
    """Events in the order in which they are to be delivered, each with the position after it, and the page's end."""

    entries: list[tuple[Event, Cursor]]
    end: Cursor


# -- positions -----------------------------------------------------------------------------------------------------


def parse(text: str) -> Cursor | None:
    """What `str` of a cursor gave; None for anything else."""
    if not (found := FORMAT.fullmatch(text)):
        return None
    epoch, high, tag, holes = found.groups()
    cursor = Cursor(epoch, int(high, 16), int(tag, 16))
    try:
        return cursor._replace(holes=tuple(_parsed_holes(holes, cursor.high))[::-1])
    except ValueError:
        return None


def _parsed_holes(text: str, above: int) -> Iterator[Hole]:
    parts = text.split("_")[1:]
    if above > LARGEST_ID or len(parts) > MOST_HOLES:
        raise ValueError(text)
    for part in parts:
        below, _, more = part.partition("-")
        last = above - int(below, 16)
        above = last - int(more or "0", 16)
        if above < 1:
            raise ValueError(text)
        yield Hole(above, last)


def resume(text: str) -> Cursor | None:
    """The position that a client kept; None when it is none of this log's, or what follows it is no longer kept."""
    cursor = parse(text)
    return cursor if cursor and holds(cursor) else None


def holds(cursor: Cursor) -> bool:
    """Whether the log still goes on from there: the last event that was read is still where it was."""
    if cursor.epoch != epoch() or (cursor.holes and not _has_holes()):
        return False
    if cursor.tag:
        read = TaskEvent.objects.filter(pk=cursor.high).values_list("timestamp", flat=True).first()
        return read is not None and _tag(read) == cursor.tag
    first = TaskEvent.objects.aggregate(first=Min("id"))["first"]
    return cursor.high <= _last_given() and (first is None or first <= cursor.high + 1)


def head() -> Cursor:
    """The position after everything that is committed now."""
    newest = TaskEvent.objects.order_by("-id").values_list("id", "timestamp").first()
    high, tag = (newest[0], _tag(newest[1])) if newest else (_last_given(), 0)
    return Cursor(epoch(), high, tag, _holes_below(high) if _has_holes() else ())


def last_before(moment: dt.datetime) -> int:
    """The last id of an event before that moment, 0 when there is none: ids rise with time, give or take `MARGIN`.

    By a few dozen look-ups of keys: each event would have to pay for an index of times.
    """
    kept = TaskEvent.objects.aggregate(first=Min("id"), last=Max("id"))
    ids = range(kept["first"] or 0, (kept["last"] or 0) + 1)
    older = bisect_left(ids, moment, key=_next_moment)
    return ids[older - 1] if older else 0


def _next_moment(id: int) -> dt.datetime:
    """When the first event from that id on happened."""
    following = TaskEvent.objects.filter(pk__gte=id).order_by("pk")
    return following.values_list("timestamp", flat=True).first() or dt.datetime.max.replace(tzinfo=dt.UTC)


def epoch() -> str:
    marker, _ = Marker.objects.get_or_create(name=EPOCH, defaults={"value": {"epoch": secrets.token_hex(4)}})
    return marker.value["epoch"]


def _tag(timestamp: dt.datetime) -> int:
    microseconds = int(timestamp.timestamp() * 1_000_000)
    return microseconds % 0xFFFF_FFFF + 1


# -- reading on ----------------------------------------------------------------------------------------------------


def read(cursor: Cursor, limit: int = LIMIT) -> Page:
    """What has been committed since `cursor`, at most about `limit` events, those that fill its holes first.

    The end remembers who owns each hole, so a reader goes on from the `Cursor` itself, not from its text.
    """
    rows = tail.rows(cursor.high, cursor.holes, limit)
    writers = (
        _writers() if _leaves_holes(cursor, rows) else frozenset()
    )  # after the rows: whoever began since is no owner
    page = _page(_with_live_owners(cursor, writers), rows, writers)
    orphans = [hole for hole in page.end.holes if not hole.owners]
    return _closed(page, orphans, limit) if orphans and len(rows) < limit else page


def _leaves_holes(cursor: Cursor, rows: Sequence[Row]) -> bool:
    if not _has_holes():
        return False
    late = sum(row.id <= cursor.high for row in rows)
    open_ids = sum(hole.last - hole.first + 1 for hole in cursor.holes)
    return late < open_ids or (late < len(rows) and rows[-1].id - cursor.high > len(rows) - late)


def _with_live_owners(cursor: Cursor, writers: frozenset[str]) -> Cursor:
    if not cursor.holes:
        return cursor
    return cursor._replace(holes=tuple(hole._replace(owners=hole.owners & writers) for hole in cursor.holes))


def _page(position: Cursor, rows: Iterable[Row], writers: frozenset[str]) -> Page:
    entries: list[tuple[Event, Cursor]] = []
    for row in rows:
        position = _advance(position, row, writers)
        entries.append((row, position))
    return Page(entries, position)


def _advance(cursor: Cursor, row: Row, writers: frozenset[str]) -> Cursor:
    """The position after `row`, which fills a hole or lies above everything read so far."""
    if row.id < cursor.high:
        return cursor._replace(holes=tuple(_split(cursor.holes, row.id)))
    if row.id == cursor.high:  # given, but not yet committed, when an empty log's head was asked for
        return cursor._replace(tag=_tag(row.timestamp), holes=tuple(_split(cursor.holes, row.id)))
    holes = cursor.holes
    if row.id > cursor.high + 1 and _has_holes():
        holes = (*holes, Hole(cursor.high + 1, row.id - 1, writers))
    return Cursor(cursor.epoch, row.id, _tag(row.timestamp), holes)


def _closed(page: Page, orphans: Sequence[Hole], limit: int) -> Page:
    """All who could fill these holes have ended: what one more look doesn't find there will never come."""
    rows = tail.late_rows(orphans, limit)
    late = _page(page.end, rows, frozenset())
    holes = late.end.holes if len(rows) == limit else tuple(_without(late.end.holes, orphans))
    return Page(page.entries + late.entries, late.end._replace(holes=holes))


def _split(holes: Iterable[Hole], filled: int) -> Iterator[Hole]:
    for hole in holes:
        if not hole.first <= filled <= hole.last:
            yield hole
            continue
        if hole.first < filled:
            yield hole._replace(last=filled - 1)
        if filled < hole.last:
            yield hole._replace(first=filled + 1)


def _without(holes: Iterable[Hole], closed: Iterable[Hole]) -> Iterator[Hole]:
    """A hole that was split by what filled it is closed with the one that it was a part of."""
    for hole in holes:
        if not any(other.first <= hole.first and hole.last <= other.last for other in closed):
            yield hole


# -- replaying -----------------------------------------------------------------------------------------------------


def replay(since: Cursor, until: Cursor, limit: int = LIMIT, where: Q | None = None) -> Page:
    """What lies between two positions, in the order of ids, at most `limit` events.

    `where` picks among the events. A page that isn't full ends at `until`.
    """
    missed = Q(id__gt=since.high) | _within(since.holes) if since.holes else Q(id__gt=since.high)
    rows = list(TaskEvent.objects.filter(where or Q(), missed, id__lte=until.high).order_by("id")[:limit])
    entries: list[tuple[Event, Cursor]] = [(row, _between(since, until, row)) for row in rows if until.has(row.id)]
    return Page(entries, _between(since, until, rows[-1]) if len(rows) == limit else until)


def _between(since: Cursor, until: Cursor, row: TaskEvent) -> Cursor:
    """The position of a replay after `row`."""
    open_below = tuple(hole for hole in until.holes if hole.last < row.id)
    if row.id > since.high:
        return Cursor(until.epoch, row.id, _tag(row.timestamp), open_below)
    ahead = (hole._replace(first=max(hole.first, row.id + 1)) for hole in since.holes if hole.last > row.id)
    return since._replace(holes=(*open_below, *ahead))


def _within(holes: Iterable[Hole]) -> Q:
    return Q(*(("id__range", (hole.first, hole.last)) for hole in holes), _connector=Q.OR)


# -- transactions in flight (PostgreSQL) ----------------------------------------------------------------------------

# Who may still bring an id: whoever inserts holds this lock from before its id is given until it ends.
WRITERS = """
    FROM pg_locks WHERE locktype = 'relation' AND relation = %(table)s::regclass AND mode = 'RowExclusiveLock'
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
GAPS = """
    WITH ids AS (SELECT id FROM {table} WHERE id > %(floor)s AND id <= %(high)s UNION ALL SELECT %(high)s + 1)
    SELECT before + 1, id - 1 FROM (SELECT id, lag(id, 1, %(floor)s) OVER (ORDER BY id) AS before FROM ids) AS pairs
    WHERE id > before + 1 ORDER BY id
"""


def _has_holes() -> bool:
    return connection.vendor == "postgresql"


def _writers() -> frozenset[str]:
    return frozenset(name for (name,) in _ask(f"SELECT virtualtransaction {WRITERS}", {"table": _table()}))


def _holes_below(high: int) -> tuple[Hole, ...]:
    """The ids up to `high` that are missing, as far back as a transaction in flight can have been given one."""
    began = "(SELECT xact_start FROM pg_stat_activity AS backend WHERE backend.pid = pg_locks.pid)"
    writers = _ask(f"SELECT virtualtransaction, {began} {WRITERS}", {"table": _table()})
    if not writers:
        return ()
    floor = _floor([start for _, start in writers])
    gaps = _ask(GAPS.format(table=connection.ops.quote_name(_table())), {"floor": floor, "high": high})
    owners = frozenset(name for name, _ in writers)
    return tuple(Hole(first, last, owners) for first, last in gaps)


def _floor(starts: list[dt.datetime | None]) -> int:
    """An id that was given before any of these transactions began; 0 when that cannot be told."""
    known = [start for start in starts if start is not None]
    return last_before(min(known) - MARGIN) if len(known) == len(starts) else 0


def _last_given() -> int:
    """The last id that was given, whether or not its event was committed or is still kept."""
    if _has_holes():
        (name,) = _ask("SELECT pg_get_serial_sequence(%s, 'id')", [_table()])[0]
        rows = _ask(f"SELECT last_value FROM {name} WHERE is_called")  # noqa: S608  # the name is the catalog's own
    else:
        rows = _ask("SELECT seq FROM sqlite_sequence WHERE name = %s", [_table()])
    return rows[0][0] if rows else 0


def _table() -> str:
    return TaskEvent._meta.db_table


def _ask(sql: str, parameters: Any = None) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()
