"""What works for all sockets starts with the first, rests after the last, and is bounded per user."""

from __future__ import annotations

import asyncio

import pytest

from realtime import switchboard
from realtime.database import in_database
from realtime.feed import GAP_S
from realtime.pulse import BATCH_S
from tasks import submit
from tasks.models import Marker

pytestmark = pytest.mark.django_db(transaction=True)


async def test_there_is_one_for_each_loop(board):
    assert switchboard.here() is board
    assert switchboard.everywhere() == []


async def test_it_works_only_while_there_are_sockets(board, connect, root):
    assert board._tasks == []
    client = await connect(token=root)
    await client.until("hello")
    assert len(board._tasks) == 6
    assert [here for _, here in switchboard.everywhere()] == [board]
    tasks, watch = board._tasks, board._watch
    await client.leave()
    assert board._tasks == []
    watch.join(10)
    assert not watch.is_alive()
    again = await connect("/api/v1/tasks/stream", token=root)
    await again.until("subscribed")
    assert all(task.done() for task in tasks)
    task = await in_database(submit, "test.echo")
    assert [event["task_id"] for event in await again.events(1)] == [str(task.pk)]


async def test_places_are_given_back(board, connect, root, settings):
    settings.TASKHUB_STREAM_CONNECTIONS = 1
    for _ in range(3):
        client = await connect(token=root)
        await client.until("hello")
        await client.leave()


async def test_the_log_is_read_less_often_for_those_who_all_take_batches(board, connect, root, monkeypatch):
    monkeypatch.setattr(switchboard, "TICK_S", 0.01)

    async def reaches(gap: float) -> None:
        async with asyncio.timeout(10):
            while board.feed.gap != gap:
                await asyncio.sleep(0.01)

    await (await connect(token=root)).subscribe(queue="*", batch=True)
    await reaches(BATCH_S)
    await (await connect(token=root)).subscribe(queue="*")
    await reaches(GAP_S)


async def test_when_the_log_is_replaced_everybody_has_to_come_again(board, connect, root):
    client = await connect(token=root)
    hello = await client.until("hello")
    await in_database(Marker.objects.all().delete)
    board._tasks[0].cancel()
    board._rest()
    board.feed._rested = False
    board._start()
    assert await client.closed() == 1012
    client = await connect(f"/api/v1/tasks/stream?since={hello['cursor']}", token=root)
    assert (await client.until("subscribed"))["recovered"] is False
