"""Log lines reach those who follow the one task, once and in order."""

from __future__ import annotations

import asyncio
import json

import pytest
import pytest_asyncio
from django.utils import timezone

from realtime import feed, loglines
from realtime.database import in_database
from realtime.loglines import LogLines
from realtime.messages import Key
from realtime.subscriptions import Subscription
from tasks import logs
from tests.factories import make_task
from tests.realtime.conftest import make_user, token_of

pytestmark = pytest.mark.django_db(transaction=True)


class Follower:
    def __init__(self, *subscriptions: Subscription) -> None:
        self.subscriptions = {subscription.key: subscription for subscription in subscriptions}
        self.frames: asyncio.Queue[str] = asyncio.Queue()

    def tell_if_fast(self, frame: str) -> None:
        self.frames.put_nowait(frame)

    async def next(self) -> tuple[str, int]:
        frame = json.loads(await asyncio.wait_for(self.frames.get(), 10))
        return frame["task_id"], frame["seq"]


@pytest_asyncio.fixture
async def world(transactional_db, monkeypatch):
    monkeypatch.setattr(loglines, "GAP_S", 0.0)
    monkeypatch.setattr(loglines, "TASKS", 2)
    monkeypatch.setattr(loglines, "LINES", 3)
    followers: list[Follower] = []
    made = LogLines(followers)
    running = asyncio.create_task(made.run())
    yield made, followers
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def say(task, *messages: str) -> None:
    logs.append(task, [logs.LogLine("info", message, timezone.now()) for message in messages])


async def test_lines_come_in_order_to_their_followers(world):
    made, followers = world
    tasks = [await in_database(make_task, "processing") for _ in range(3)]
    followers += [Follower(Subscription(Key("task_id", str(task.pk)))) for task in tasks]
    late = Follower(Subscription(Key("task_id", str(tasks[0].pk)), log_seq=4))
    broad = Follower(Subscription(Key("task_id", "*")), Subscription(Key("queue", "default")))
    filtered = Follower(Subscription(Key("task_id", str(tasks[0].pk)), events=frozenset({"task_updated"})))
    followers += [late, broad, filtered]
    for task in tasks:
        await in_database(say, task, *"abcde")
    made.after_read([])
    for task, follower in zip(tasks, followers, strict=False):
        assert [await follower.next() for _ in range(5)] == [(str(task.pk), seq) for seq in range(1, 6)]
    assert await late.next() == (str(tasks[0].pk), 5)
    await in_database(say, tasks[0], "f")
    made.after_read([])
    assert await late.next() == (str(tasks[0].pk), 6)
    assert await followers[0].next() == (str(tasks[0].pk), 6)
    assert broad.frames.empty()
    assert filtered.frames.empty()


@pytest.mark.postgres
async def test_a_line_comes_without_waiting_for_the_next_look(sockets_on_postgres, connect, monkeypatch):
    """Lines are no events, but a hint is sent for them too."""
    monkeypatch.setattr(feed, "SAFETY_S", 60.0)
    token = await token_of(await make_user("root", is_superuser=True))
    task = await in_database(make_task, "processing")
    client = await connect(f"/api/v1/tasks/{task.pk}/stream", token=token)
    await client.until("snapshot")
    for message in "abc":  # the first may be found by the hint that the task's start has sent
        await in_database(say, task, message)
        assert (await client.until("task_log"))["message"] == message
