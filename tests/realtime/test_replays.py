"""What came between two positions is the same from the ring and from the log."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio
from django.db.models import Q

from realtime import replays
from realtime.database import in_database
from realtime.feed import Feed
from realtime.ring import Ring
from realtime.subscriptions import Index
from tasks import cursor
from tests.factories import make_task

pytestmark = pytest.mark.django_db(transaction=True)


@pytest_asyncio.fixture
async def feed():
    made = Feed(Index(), lambda entries: None)
    running = asyncio.create_task(made.run())
    await made.ready()
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    made.close()


async def collect(feed, since, until, where=None):
    return [entry async for page in replays.between(feed, since, until, where or Q()) for entry in page]


@pytest.mark.parametrize("page", [1, 2, 500])
async def test_ring_and_log_agree(feed, monkeypatch, page):
    monkeypatch.setattr(replays, "PAGE", page)
    start = feed.position
    for queue in "aba":
        await in_database(make_task, "completed", queue=queue)
    await feed.caught_up()
    until = feed.position
    await in_database(make_task, "completed")
    await feed.caught_up()
    from_ring = await collect(feed, start, until)
    feed._ring = Ring(feed.position)
    from_log = await collect(feed, start, until)
    assert [entry.text for entry in from_log] == [entry.text for entry in from_ring]
    assert len(from_log) == 9
    only_b = await collect(feed, start, until, Q(queue="b"))
    assert {entry.queue for entry in only_b} == {"b"}
    assert await collect(feed, until, until) == []


async def test_a_cursor_of_the_ring_needs_no_database(feed, monkeypatch):
    start = str(feed.position)
    await in_database(make_task, "completed")
    await feed.caught_up()
    monkeypatch.setattr(replays, "in_database", None)
    assert str(await replays.resume(feed, start)) == start
    assert await replays.resume(feed, "nonsense") is None


async def test_a_cursor_from_a_faster_process_is_waited_for(feed, monkeypatch):
    feed._hinted.clear()
    await in_database(make_task, "completed")
    ahead = await in_database(cursor.head)
    assert await replays.resume(feed, str(ahead)) == ahead
    assert feed.position.high >= ahead.high


async def test_an_older_cursor_is_asked_of_the_log(feed):
    start = feed.position
    await in_database(make_task, "completed")
    await feed.caught_up()
    feed._ring = Ring(feed.position)
    assert await replays.resume(feed, str(start)) == start
    assert await replays.resume(feed, str(start._replace(epoch="0" * 8))) is None
