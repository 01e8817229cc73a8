"""The state of the queues is told when it changes, to those who may know it."""

from __future__ import annotations

import asyncio
import json

import pytest
import pytest_asyncio

from realtime import counts
from realtime.counts import Counts
from tests.realtime.entries import entry


class Follower:
    def __init__(self, wants: bool = True) -> None:
        self.wants_counts = wants
        self.frames: asyncio.Queue[str] = asyncio.Queue()

    def count(self, frame: str) -> None:
        self.frames.put_nowait(frame)

    async def next(self) -> int:
        return json.loads(await asyncio.wait_for(self.frames.get(), 10))["total_tasks"]


@pytest.fixture
def state(monkeypatch) -> dict:
    """What the database would count; `asked` is how often it was."""
    body = {"total_tasks": 0, "queues": [{"name": "a", "oldest_pending_s": 0.0}], "timestamp": 0, "asked": 0}

    def status() -> dict:
        body["asked"] += 1
        body["timestamp"] += 1
        body["queues"][0]["oldest_pending_s"] += 1.0
        return {key: value for key, value in body.items() if key != "asked"}

    monkeypatch.setattr(counts, "queue_status", status)
    monkeypatch.setattr(counts, "GAP_S", 0.005)
    return body


@pytest_asyncio.fixture
async def world(state):
    followers = {Follower(), Follower(wants=False)}
    made = Counts(followers)
    running = asyncio.create_task(made.run())
    wanting = next(follower for follower in followers if follower.wants_counts)
    yield made, followers, wanting
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_it_is_told_at_first_and_when_it_changes(world, state):
    made, followers, wanting = world
    assert await wanting.next() == 0
    for total in (1, 2):
        state["total_tasks"] = total
        made.after_read([entry(total)])
        assert await wanting.next() == total
    other = next(follower for follower in followers if follower is not wanting)
    assert other.frames.empty()


async def test_a_clock_that_moves_is_no_change(world, state):
    made, _, wanting = world
    await wanting.next()
    asked = state["asked"]
    made.after_read([entry(1)])
    while state["asked"] == asked:
        await asyncio.sleep(0.001)
    state["total_tasks"] = 5
    made.after_read([entry(2)])
    assert await wanting.next() == 5


async def test_progress_changes_no_count(world, state):
    made, _, wanting = world
    await wanting.next()
    asked = state["asked"]
    made.after_read([entry(1, type="task_progress")])
    await asyncio.sleep(0.05)
    assert state["asked"] == asked


async def test_who_comes_later_is_told_too(world, state):
    _, followers, wanting = world
    await wanting.next()
    late = Follower()
    followers.add(late)
    assert await late.next() == 0
    assert wanting.frames.empty()


async def test_now_and_then_it_is_told_anyway(world, state, monkeypatch):
    _, _, wanting = world
    await wanting.next()
    monkeypatch.setattr(counts, "DRIFT_S", 0.01)
    assert await wanting.next() == 0
