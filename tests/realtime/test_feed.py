"""The feed delivers each event once, in order, and outlives what happens to the database."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio
from django.db import OperationalError

from realtime import feed as feeds
from realtime.database import in_database
from realtime.feed import Feed, LogReplaced
from realtime.messages import Key
from realtime.persistence import persistently
from realtime.subscriptions import Index, Subscription
from tasks import cursor, submit
from tasks.models import Marker, TaskEvent
from tests.factories import make_task

pytestmark = pytest.mark.django_db(transaction=True)


class Receiver:
    def __init__(self) -> None:
        self.entries = []

    def deliver(self, entries) -> None:
        self.entries += entries

    @property
    def ids(self) -> list[int]:
        return [entry.id for entry in self.entries]


@pytest_asyncio.fixture
async def feed():
    """A feed that runs, and everybody who listens: `feed.everything`."""
    index, receiver = Index(), Receiver()
    index.add(receiver, Subscription(Key("task_id", "*")))
    made = Feed(index, lambda entries: None)
    made.everything = receiver
    running = asyncio.create_task(persistently(made.run, "The feed"))
    await made.ready()
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    made.close()


def everything() -> list[int]:
    return list(TaskEvent.objects.order_by("id").values_list("id", flat=True))


async def test_it_begins_at_the_head_and_reads_on(transactional_db):
    await in_database(submit, "test.echo")
    index, receiver = Index(), Receiver()
    index.add(receiver, Subscription(Key("task_id", "*")))
    feed = Feed(index, lambda entries: None)
    running = asyncio.create_task(feed.run())
    await feed.ready()
    assert feed.position == await in_database(cursor.head)
    task = await in_database(make_task, "completed")
    await feed.caught_up()
    assert [(entry.task_id, entry.version) for entry in receiver.entries] == [(str(task.pk), n) for n in (1, 2, 3)]
    assert feed.ring.after(receiver.entries[0].after, 10) == receiver.entries[1:]
    assert [entry.before for entry in receiver.entries[1:]] == [entry.after for entry in receiver.entries[:-1]]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    feed.close()


async def test_without_a_hint_it_looks_by_itself(feed, monkeypatch):
    monkeypatch.setattr(feeds, "SAFETY_S", 0.02)
    feed.hint()
    await in_database(submit, "test.echo")
    async with asyncio.timeout(10):
        while not feed.everything.entries:
            await asyncio.sleep(0.01)


async def test_each_gets_what_is_theirs_of_what_was_read_at_once(feed, monkeypatch):
    """In portions: nobody is given so much that others wait for it."""
    monkeypatch.setattr(feeds, "DELIVERIES", 4)
    picky, portions = Receiver(), []
    feed._index.add(picky, Subscription(Key("queue", "b")))
    deliver = feed.everything.deliver
    monkeypatch.setattr(feed.everything, "deliver", lambda entries: (portions.append(len(entries)), deliver(entries)))
    for queue in "aabbaab":
        await in_database(submit, "test.echo", queue=queue)
    await feed.caught_up()
    assert feed.everything.ids == await in_database(everything)
    assert [entry.queue for entry in picky.entries] == ["b"] * 3
    assert max(portions) <= 4
    assert sum(portions) == 7


async def test_the_more_it_reads_the_longer_it_rests(feed):
    assert feed._gap_after(0, took=0.001) == feed._gap_after(1, took=0.001) == feeds.GAP_S
    assert feed._gap_after(9, took=0.001) == pytest.approx(3 * feeds.GAP_S)
    assert feed._gap_after(1, took=0.02) == 0.02
    assert feed._gap_after(10_000, took=0.001) == feed._gap_after(1, took=9.0) == feeds.LONGEST_GAP_S


async def test_many_pages(feed, monkeypatch):
    monkeypatch.setattr(cursor, "LIMIT", 3)
    monkeypatch.setattr(cursor.read, "__defaults__", (3,))
    for _ in range(4):
        await in_database(make_task, "completed")
    await feed.caught_up()
    assert feed.everything.ids == await in_database(everything)


async def test_it_outlives_an_outage_and_misses_nothing(feed, monkeypatch):
    await in_database(submit, "test.echo")
    await feed.caught_up()

    def away(*_):
        raise OperationalError("the server closed the connection")

    failing = asyncio.Event()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(cursor, "read", lambda *_: (loop.call_soon_threadsafe(failing.set), away()))
    feed.hint()
    await asyncio.wait_for(failing.wait(), 10)
    await in_database(make_task, "completed")
    monkeypatch.undo()
    await feed.caught_up()
    assert feed.everything.ids == await in_database(everything)


async def test_another_log_in_the_place_of_this_one_is_noticed(transactional_db):
    feed = Feed(Index(), lambda entries: None)
    running = asyncio.create_task(feed.run())
    await feed.ready()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await in_database(Marker.objects.all().delete)
    with pytest.raises(LogReplaced):
        await feed.run()
    running = asyncio.create_task(feed.run())
    await feed.caught_up()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    feed.close()


async def test_after_a_rest_it_goes_on_where_it_stood(transactional_db):
    feed = Feed(Index(), lambda entries: None)
    for _ in range(2):
        await in_database(submit, "test.echo")
        running = asyncio.create_task(feed.run())
        await feed.caught_up()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        start = feed.position
        feed.rest()
    await in_database(submit, "test.echo")
    running = asyncio.create_task(feed.run())
    await feed.caught_up()
    assert len(feed.ring.after(start, 10) or []) == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    feed.close()
