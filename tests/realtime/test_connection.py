"""A connection sends everything in order, however slowly its client reads, and delays nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from realtime import connection as connections
from realtime import outbox, pulse, replays
from realtime.auth import Rights
from realtime.connection import Connection, Order
from realtime.feed import Feed
from realtime.messages import TOO_SLOW, Key
from realtime.ring import Ring
from realtime.subscriptions import Index, Subscription
from realtime.transports import Transport
from tests.realtime.entries import entry, position, unframed

ROOT = Rights(1, reads=True, sees_all=True, sees_queues=True)


class World(Transport):
    """A feed that is fed by hand, and a connection whose client reads when it is told to."""

    def __init__(self, pushes: bool) -> None:
        self.pushes = pushes
        self.index = Index()
        self.feed = Feed(self.index, lambda entries: None)
        self.feed._ring = Ring(position(0))
        self.feed.caught_up = self._caught_up  # type: ignore[method-assign]
        self.last = 0
        self.sent: list[dict[str, Any]] = []
        self.codes: list[int] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.connection = self.connect()

    async def _caught_up(self) -> None:
        """There is no database to read."""

    def connect(self, rights: Rights = ROOT) -> Connection:
        return Connection(self.feed, self.index, object(), rights, self, self.codes.append)  # type: ignore[arg-type]

    def push(self, frames: bytes) -> bool:
        if self.reads.is_set() and self.pushes:
            self.sent += map(json.loads, unframed(frames))
        return self.reads.is_set() and self.pushes

    async def text(self, frame: str) -> None:
        await self.reads.wait()
        self.sent.append(json.loads(frame))

    def publish(self, count: int, **fields: Any) -> None:
        for _ in range(count):
            self.last += 1
            item = entry(self.last, **fields)
            self.feed.ring.extend([item], item.after)
            for receiver in self.index.receivers(item):
                receiver.deliver([item])

    @property
    def events(self) -> list[int]:
        frames = [event for frame in self.sent for event in frame.get("events", [frame])]
        return [frame["id"] for frame in frames if "id" in frame]

    @property
    def types(self) -> list[str]:
        return [frame["type"] for frame in self.sent if "type" in frame]


@pytest_asyncio.fixture(params=[True, False], ids=["known server", "any server"])
async def world(request: pytest.FixtureRequest, settle: Callable[[], Awaitable[None]]):
    made = World(pushes=request.param)
    running = asyncio.create_task(made.connection.run())
    await settle()
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    made.feed.close()


@pytest_asyncio.fixture
async def subscribed(world, settle):
    world.connection.subscribe(Order(Subscription(Key("queue", "*"))))
    await settle()
    assert world.types == ["hello", "subscribed"]
    return world


async def test_events_are_sent_in_order(subscribed, settle):
    subscribed.publish(10)
    await settle()
    assert subscribed.events == list(range(1, 11))


async def test_what_waits_is_not_overtaken(subscribed, settle):
    """An event that could be sent at once has to wait behind whatever is due."""
    subscribed.connection.tell('{"id": 0}')
    subscribed.publish(1)
    await settle()
    subscribed.publish(1)
    assert subscribed.events == ([0, 1, 2] if subscribed.pushes else [0, 1])
    await settle()
    assert subscribed.events == [0, 1, 2]


async def test_a_client_that_pauses_loses_nothing_that_the_ring_holds(subscribed, settle):
    subscribed.reads.clear()
    subscribed.publish(3 * outbox.EVENTS)
    await settle()
    assert len(subscribed.connection._outbox) <= outbox.EVENTS
    subscribed.reads.set()
    await settle()
    assert subscribed.events == list(range(1, 3 * outbox.EVENTS + 1))
    subscribed.publish(1)
    await settle()
    assert subscribed.events[-1] == 3 * outbox.EVENTS + 1
    assert "resync" not in subscribed.types


async def test_who_is_slow_is_spared_outdated_progress(subscribed, settle):
    subscribed.reads.clear()
    subscribed.publish(outbox.EVENTS + 1)
    subscribed.publish(100, type="task_progress", task_id="a")
    subscribed.publish(1, type="task_updated", task_id="a")
    subscribed.publish(5, type="task_progress", task_id="b")
    subscribed.reads.set()
    await settle()
    first = outbox.EVENTS + 1
    assert subscribed.events == [*range(1, first + 1), first + 101, first + 106]


async def test_who_is_left_behind_by_the_ring_is_told_to_fetch_a_snapshot(subscribed, settle):
    subscribed.feed._ring = Ring(position(0), events=2 * outbox.EVENTS)
    subscribed.reads.clear()
    subscribed.publish(5 * outbox.EVENTS)
    subscribed.reads.set()
    await settle()
    assert subscribed.types[-1] == "resync"
    assert subscribed.codes == []
    subscribed.publish(2)
    await settle()
    assert subscribed.events[-2:] == [5 * outbox.EVENTS + 1, 5 * outbox.EVENTS + 2]


async def test_the_second_time_is_the_end(subscribed, settle):
    subscribed.feed._ring = Ring(position(0), events=2 * outbox.EVENTS)
    for _ in range(2):
        subscribed.reads.clear()
        subscribed.publish(5 * outbox.EVENTS)
        subscribed.reads.set()
        await settle()
    assert subscribed.codes == [TOO_SLOW]


async def test_who_stays_slow_for_long_is_told_to_fetch_a_snapshot(subscribed, settle, monkeypatch):
    monkeypatch.setattr(connections, "LAG_S", 0.0)
    subscribed.reads.clear()
    subscribed.publish(2 * outbox.EVENTS)
    await settle()
    subscribed.connection.tick()
    subscribed.reads.set()
    await settle()
    assert subscribed.types[-1] == "resync"
    subscribed.publish(1)
    await settle()
    assert subscribed.events[-1] == 2 * outbox.EVENTS + 1


async def test_who_is_too_slow_even_for_that_is_told_before_it_is_sent_away(subscribed, settle, monkeypatch):
    monkeypatch.setattr(connections, "LAG_S", 0.0)
    subscribed.reads.clear()
    for _ in range(3):
        subscribed.publish(2 * outbox.EVENTS)
        await settle()
        subscribed.connection.tick()
    assert subscribed.codes == []
    subscribed.reads.set()
    await settle()
    assert subscribed.types.count("resync") == 1
    missed = subscribed.last
    subscribed.publish(1)
    await settle()
    assert subscribed.events[-1] == missed + 1
    subscribed.reads.clear()
    subscribed.publish(2 * outbox.EVENTS)
    await settle()
    subscribed.connection.tick()
    assert subscribed.codes == [TOO_SLOW]


async def test_who_takes_nothing_at_all_is_disconnected(subscribed, settle, monkeypatch):
    subscribed.reads.clear()
    subscribed.publish(1)
    await settle()
    subscribed.connection.tick()
    assert subscribed.codes == []
    monkeypatch.setattr(connections, "STALL_S", 0.0)
    subscribed.connection.tick()
    subscribed.connection.tick()
    assert subscribed.codes == [TOO_SLOW]


async def test_batches_are_bounded(subscribed, settle, monkeypatch):
    monkeypatch.setattr(pulse, "BATCH_S", 0.0)
    subscribed.connection.batch = True
    subscribed.publish(500)
    await settle()
    assert subscribed.events == list(range(1, 501))
    assert [len(frame["events"]) for frame in subscribed.sent if frame.get("type") == "batch"] == [200, 200, 100]


async def test_a_subscription_during_a_burst_neither_misses_nor_repeats(subscribed, settle, monkeypatch):
    monkeypatch.setattr(replays, "PAGE", 7)
    since = str(subscribed.feed.position)
    subscribed.publish(20)
    subscribed.connection.subscribe(Order(Subscription(Key("task_id", "*")), since))
    subscribed.publish(20)
    for _ in range(5):
        await settle()
        subscribed.publish(3)
    await settle()
    assert subscribed.events == list(range(1, 56))


async def test_the_cursor_of_every_frame_keeps_its_promise(world, settle, monkeypatch):
    """Cut after any frame, and go on from its cursor: nothing that was subscribed to is missing."""
    monkeypatch.setattr(replays, "PAGE", 3)
    since = str(world.feed.position)
    for number in range(1, 13):
        world.publish(1, queue="ab"[number % 2], text=json.dumps({"id": number, "cursor": str(position(number))}))
    world.connection.subscribe(Order(Subscription(Key("queue", "a"))))
    await settle()
    world.connection.subscribe(Order(Subscription(Key("queue", "b")), since))
    for number in range(13, 19):
        world.publish(1, queue="ab"[number % 2], text=json.dumps({"id": number, "cursor": str(position(number))}))
        await settle()
    frames = [frame for frame in world.sent if "id" in frame]
    wanted = {number for number in range(1, 19) if number % 2 or number > 12}
    assert {frame["id"] for frame in frames} == wanted
    for cut in range(len(frames)):
        had = {frame["id"] for frame in frames[: cut + 1]}
        reached = int(frames[cut]["cursor"].split(".")[1], 16)
        assert {number for number in wanted if number <= reached} <= had


async def test_the_newest_counts_replace_those_that_were_not_sent(subscribed, settle):
    subscribed.reads.clear()
    subscribed.publish(1)
    await settle()
    for number in range(3):
        subscribed.connection.count(json.dumps({"type": "queue_status", "total_tasks": number}))
    subscribed.reads.set()
    await settle()
    assert [frame["total_tasks"] for frame in subscribed.sent if frame.get("type") == "queue_status"] == [2]


async def test_lost_rights_narrow_what_is_followed(subscribed, settle):
    subscribed.connection.renew(subscribed.connection.principal, Rights(7, True, False, False))
    subscribed.publish(1, owner_id=8)
    subscribed.publish(1, owner_id=7)
    await settle()
    assert subscribed.events == [2]
    assert not subscribed.connection.wants_counts
    subscribed.connection.renew(subscribed.connection.principal, Rights(7, False, False, False))
    assert subscribed.codes == [4403]


async def test_who_has_left_gets_nothing(subscribed, settle):
    subscribed.connection.leave()
    subscribed.publish(1)
    await settle()
    assert subscribed.events == []
    subscribed.connection.close(1000)
    assert subscribed.codes == []
