"""Hundreds of sockets that break all the time, a thousand that break at once: everybody gets every change, in order.

The shape is that of AnyCable's public comparison, where transports without a log lose an eighth: sockets are reset
every fifteen seconds or so, and stay away for two. A sample of it belongs to every run, the rest to the fault matrix;
with `-rP --log-level=INFO` it tells how long it took everybody to come back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer

from benchmarks.contenders.stock import GROUP
from benchmarks.crowd import Comers
from realtime.database import in_database
from tasks.models import TaskEvent
from tests.realtime.conftest import make_user, token_of
from tests.realtime.followers import TASKS
from tests.realtime.servers import Server, running
from tests.realtime.writers import write

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]
log = logging.getLogger(__name__)

WRITERS = 2
REST_S = 1.0  # of a writer, between two tasks
BACK_S = 60.0  # by then everybody must have come back, and have everything


@dataclass(frozen=True)
class Size:
    clients: int
    seconds: float
    every_s: float
    offline_s: float

    @property
    def tasks(self) -> int:
        """A writer's."""
        return round(self.seconds / REST_S)


whole = [pytest.mark.chaos, pytest.mark.full]
SIZES = [
    pytest.param(Size(25, seconds=4, every_s=1.5, offline_s=0.2), id="sample"),
    pytest.param(Size(500, seconds=60, every_s=15, offline_s=2), id="500-clients", marks=whole),
]
CROWDS = [pytest.param(50, id="sample"), pytest.param(1000, id="1000-clients", marks=whole)]


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Each socket is one, and our children have as many as we."""
    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextlib.asynccontextmanager
async def coming(servers: list[Server], clients: int, *cuts: float):
    """So many who follow everything, at any of the servers each time; they come and go in a process of their own."""
    token = await token_of(await make_user("root", is_superuser=True))
    comers = await asyncio.to_thread(Comers, [server.port for server in servers], TASKS, token, clients, *cuts)
    with comers:
        yield comers


async def written(size: Size) -> None:
    threads = [threading.Thread(target=write, args=[seed, size.tasks, REST_S]) for seed in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)


async def all_of_it(comers: Comers, clients: int) -> dict[str, Any]:
    """What the crowd says once it rests and everybody has come back and has everything."""
    count = await in_database(TaskEvent.objects.count)
    async with asyncio.timeout(BACK_S):
        while (last := comers.report("rest"))["least"] < count or last["in"] < clients:
            await asyncio.sleep(0.1)
    log.info("%s events: %s", count, last)
    assert (last["events"], last["delivered"]) == (count, count * clients)
    assert (last["repeated"], last["unordered"], last["refusals"]) == (0, 0, 0)
    return last


@pytest.mark.parametrize("size", SIZES)
async def test_sockets_that_are_reset_all_the_time_miss_nothing(one_server, size):
    async with coming(one_server, size.clients, size.every_s, size.offline_s) as comers:
        await written(size)
        last = await all_of_it(comers, size.clients)
    assert last["openings"] > 2 * size.clients


@pytest.mark.postgres
@pytest.mark.redis
@pytest.mark.parametrize("size", SIZES)
async def test_they_miss_nothing_either_while_servers_are_replaced_one_after_the_other(with_redis, size):
    async with coming(with_redis, size.clients, size.every_s, size.offline_s) as comers:
        writing = asyncio.create_task(written(size))
        while not writing.done():
            for server in with_redis:
                await asyncio.sleep(size.every_s / 2)
                await asyncio.to_thread(replace, server)
        await writing
        last = await all_of_it(comers, size.clients)
    assert last["openings"] > 2 * size.clients


def replace(server: Server) -> None:
    """As a deployment does it: its sockets are told, then it ends, and another one takes its place."""
    server.tell(signal.SIGUSR1)
    server.stop(signal.SIGTERM)
    server.start()


@pytest.mark.parametrize("clients", CROWDS)
async def test_everybody_comes_back_to_a_server_that_was_killed(one_server, clients):
    (server,) = one_server
    async with coming(one_server, clients) as comers:
        await asyncio.to_thread(write, 1)
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(write, 2)
        await asyncio.to_thread(server.start)
        last = await all_of_it(comers, clients)
    assert last["openings"] >= 2 * clients


@pytest.mark.redis
@pytest.mark.parametrize("size", SIZES)
async def test_what_has_no_log_behind_it_loses_some(redis_server, size):
    """The control: the same cuts, and the consumer of every tutorial."""
    layer, count = RedisPubSubChannelLayer(hosts=[redis_server.url]), round(2 * size.seconds)
    with running(
        "uvicorn", application="benchmarks.contenders.stock:application", REDIS_URL=redis_server.url
    ) as server:
        clients = await asyncio.to_thread(
            Comers, [server.port], TASKS, "", size.clients, size.every_s, size.offline_s
        )  # fmt: skip
        with clients as comers:
            for number in range(count):
                event = {"type": "task_created", "event_id": f"{number}", "task_id": f"{number}", "version": 1}
                await layer.group_send(GROUP, {"type": "task.event", "event": event})
                await asyncio.sleep(0.5)
            last = comers.report("rest")
    await layer.flush()
    log.info("%s events: %s", count, last)
    assert last["delivered"] < 0.95 * count * size.clients
