"""Nothing is lost: whatever happens to sockets, servers, hints and Redis, everybody gets every change, once, in order.

Twenty writers change tasks, on PostgreSQL with commits out of order, while something goes wrong; real servers, and
clients that come back. What they must have got is what the database holds in the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer

from benchmarks.contenders.stock import GROUP
from realtime import receivers
from realtime.database import in_database
from tasks import hints
from tasks.hints import Coalesced
from tasks.models import TaskEvent
from tests.realtime.conftest import make_user, token_of
from tests.realtime.followers import Follower, following
from tests.realtime.servers import PATIENCE_S, running
from tests.realtime.writers import write

pytestmark = pytest.mark.processes
WRITERS = 20
FOLLOWERS = 12

Trouble = Callable[[], Awaitable[None]]


# -- what happens --------------------------------------------------------------------------------------------------


async def storm(followers: list[Follower], trouble: Trouble) -> None:
    """Everybody writes; `trouble` comes again and again until they are done. Then everything must arrive."""
    threads = [threading.Thread(target=write, args=[seed]) for seed in range(WRITERS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        await trouble()
        await asyncio.sleep(0.05)
    await everything_arrives(followers)


async def everything_arrives(followers: list[Follower]) -> None:
    written = await in_database(lambda: [f"{task}:{version}" for task, version in events()])
    assert len(written) == len(set(written)) > 0
    async with asyncio.timeout(PATIENCE_S):
        while any(len(follower.events) < len(written) for follower in followers):
            await asyncio.sleep(0.05)
    for follower in followers:
        assert sorted(follower.ids) == sorted(written)  # all of them, and none twice
        reached: dict[str, int] = {}
        for event in follower.events:
            assert event["version"] == reached.get(event["task_id"], 0) + 1
            reached[event["task_id"]] = event["version"]


def events() -> list[tuple[str, int]]:
    return list(TaskEvent.objects.order_by("id").values_list("task_id", "version"))


def cuts(followers: list[Follower]) -> Trouble:
    async def cut() -> None:
        for follower in random.sample(followers, max(1, len(followers) // 4)):
            follower.cut()

    return cut


@contextlib.asynccontextmanager
async def a_crowd(servers) -> AsyncIterator[list[Follower]]:
    token = await token_of(await make_user("root", is_superuser=True))
    async with following(FOLLOWERS, servers, token) as followers:
        yield followers


# -- the proofs ----------------------------------------------------------------------------------------------------


async def test_sockets_are_cut_again_and_again(one_server):
    async with a_crowd(one_server) as followers:
        await storm(followers, cuts(followers))
        assert sum(follower.openings for follower in followers) > 2 * len(followers)


@pytest.mark.postgres
async def test_sockets_are_cut_and_come_back_to_another_process(two_servers):
    async with a_crowd(two_servers) as followers:
        await storm(followers, cuts(followers))
        assert sum(follower.openings for follower in followers) > 2 * len(followers)


@pytest.mark.postgres
async def test_servers_are_restarted_one_after_the_other(two_servers):
    async with a_crowd(two_servers) as followers:
        turns = iter([signal.SIGTERM, signal.SIGKILL] * 100)

        async def restart() -> None:
            server = random.choice(two_servers)
            await asyncio.to_thread(lambda: (server.stop(next(turns)), server.start()))

        await storm(followers, restart)


async def test_a_server_is_killed_and_everybody_comes_back_at_once(one_server):
    (server,) = one_server
    async with a_crowd(one_server) as followers:
        before = [follower.openings for follower in followers]
        server.stop()
        await asyncio.to_thread(write, 1)
        server.start()
        await everything_arrives(followers)
        assert all(follower.openings > n for follower, n in zip(followers, before, strict=True))


@pytest.mark.postgres
@pytest.mark.redis
async def test_one_hint_in_ten_is_lost(with_redis, monkeypatch):
    lost = 0

    def forgetful() -> None:
        nonlocal lost
        if random.random() < 0.1:
            lost += 1
        else:
            receivers.publish()

    monkeypatch.setattr(receivers, "announce", Coalesced(forgetful))
    async with a_crowd(with_redis) as followers:
        await storm(followers, cuts(followers))
        while not lost:
            await asyncio.to_thread(write, 1)
            await everything_arrives(followers)


@pytest.mark.postgres
@pytest.mark.redis
async def test_redis_is_flushed_and_restarted(with_redis, redis_server):
    client = hints.redis_client()
    async with a_crowd(with_redis) as followers:
        turns = iter([client.flushall, lambda: (redis_server.stop(), redis_server.start())] * 100)

        async def trouble() -> None:
            await asyncio.to_thread(next(turns))

        await storm(followers, trouble)


# -- the control ---------------------------------------------------------------------------------------------------


@pytest.mark.redis
async def test_messages_without_a_log_behind_them_are_lost(redis_server, transactional_db):
    """The same cuts, and a consumer that sends what the group is sent: if it lost nothing, the tests would not bite."""
    layer = RedisPubSubChannelLayer(hosts=[redis_server.url])
    with running("daphne", application="benchmarks.contenders.stock:application", REDIS_URL=redis_server.url) as server:
        async with following(FOLLOWERS, [server], "", ready="hello") as followers:
            cut = cuts(followers)
            for number in range(100):
                await layer.group_send(GROUP, {"type": "task.event", "event": {"type": "", "event_id": str(number)}})
                await asyncio.sleep(0.01)
                if number % 10 == 0:
                    await cut()
            assert min(len(follower.events) for follower in followers) < 100
    await layer.flush()
