"""The stream as its clients meet it: over TCP, from daphne and from uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import threading
from collections import Counter

import pytest
import websockets
from django.db import connection

from realtime.database import in_database
from tasks import submit
from tests.factories import make_task
from tests.realtime.servers import PATIENCE_S, PINGS, close_code, receive, resident, running, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]
TASKS = "/api/v1/tasks/stream"


async def test_every_change_arrives_in_order(server, root):
    async with server.open(TASKS, root) as client:
        assert (await receive(client))["type"] == "hello"
        await until(client, "subscribed")
        task = await in_database(make_task, "completed")
        events = [await until(client, type) for type in ("task_created", "task_updated", "task_updated")]
        assert [(event["task_id"], event["version"]) for event in events] == [(str(task.pk), n) for n in (1, 2, 3)]


async def test_close_codes_reach_the_client(server, root):
    for path, token, first, code in [
        ("/api/v1/stream", "nonsense", None, 4401),
        ("/api/v1/stream?token=x", "", None, 4401),
        ("/api/v1/stream", "", None, 4401),
        ("/api/v1/stream", "", "nonsense", 4400),
        ("/nowhere", root, None, 4404),
        ("/api/v1/tasks/x/stream", root, None, 4404),
        ("/api/v1/stream", root, "x" * 70_000, 4400),
    ]:
        async with server.open(path, token) as client:
            if first:
                await client.send(first)
            assert await close_code(client) == code, path
    async with server.open("/api/v1/stream", root) as client:
        for _ in range(30):
            await client.send('{"type": "ping"}')
        assert await close_code(client) == 4429
    async with server.open("/api/v1/stream", root) as client:
        await receive(client)
        server.tell(signal.SIGUSR1)
        assert await close_code(client) == 1012


async def test_frames_go_straight_onto_the_wire(kind, root):
    """By what we know of this server, and also to a client with which it has agreed on compression."""
    with running(kind, application="tests.realtime.direct:application") as server:
        for compression in (None, "deflate"):
            async with server.open(TASKS, root, compression=compression) as client:
                await until(client, "subscribed")
                task = await in_database(submit, "test.echo", {"value": "ü" * 1000})
                assert (await until(client, "task_created"))["task_id"] == str(task.pk)


async def test_a_server_that_is_terminated_says_restart(kind, root):
    """uvicorn by itself; daphne, which cuts its sockets, has to be told a moment before, as the hub does it."""
    with running(kind) as server:
        async with server.open(TASKS, root) as client:
            await until(client, "subscribed")
            server.tell(signal.SIGUSR1 if kind == "daphne" else signal.SIGTERM)
            assert await close_code(client) == 1012


async def test_garbage_on_the_wire_ends_its_own_socket_and_harms_nobody(server, root):
    """What breaks the protocol itself is the server's to refuse: a text that is none, a mask left out, a huge frame."""
    async with server.open(TASKS, root) as witness:
        await until(witness, "subscribed")
        for garbage in (b"\x81\x82\0\0\0\0\xff\xfe", b"\x81\x02{}", b"\x8f\x80\0\0\0\0", b"\x81\xff" + b"\x7f" * 12):
            async with server.open("/api/v1/stream", root) as client:
                await receive(client)
                client.transport.write(garbage)
                assert await close_code(client) in (1002, 1006, 1007, 1009, 4400)
        task = await in_database(submit, "test.echo")
        assert (await until(witness, "task_created"))["task_id"] == str(task.pk)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_client_that_does_not_read_delays_nobody_and_is_sent_away(server, root):
    """Its share of the server's memory is bounded, under daphne too, and its place is given to somebody else."""
    large = {"value": "x" * 14_000}
    count = 1000  # 14 MB of results: more than the kernel's buffers take
    async with server.open(TASKS, root) as reader, contextlib.AsyncExitStack() as stack:
        await until(reader, "subscribed")
        sleepers = [await stack.enter_async_context(server.open(TASKS, root, max_queue=1)) for _ in range(4)]
        for sleeper in sleepers:
            await until(sleeper, "subscribed")
        before = resident(server.pid)

        writer = threading.Thread(target=complete_in_portions, args=[count, large])
        writer.start()
        seen = 0
        while seen < count:
            seen += (await until(reader, "task_updated"))["status"] == "completed"
        writer.join()
        assert resident(server.pid) - before < 60 * 1024 * 1024  # the ring holds 32 MiB, whoever reads
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(websockets.ConnectionClosed):
                    async with server.open("/api/v1/stream", root) as fresh:
                        await receive(fresh)
                        break
                await asyncio.sleep(0.1)
        assert await close_code(sleepers[0]) in (4408, 1006)
        for sleeper in sleepers:
            sleeper.transport.abort()
        task = await in_database(submit, "test.echo")
        assert (await until(reader, "task_created"))["task_id"] == str(task.pk)


async def test_a_few_slow_readers_of_many_are_told_so_then_sent_away_and_delay_nobody(kind, root):
    """They read all the time, but less than there is."""
    with running(kind, application="tests.realtime.strict:application") as server:
        async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            narrow = [narrow_line(server.port) for _ in range(3)]
            slow = [
                await stack.enter_async_context(server.open(TASKS, root, sock=line, max_queue=1)) for line in narrow
            ]
            fast = [await stack.enter_async_context(server.open(TASKS, root)) for _ in range(9)]
            for client in slow + fast:
                await until(client, "subscribed")
            ends = [group.create_task(read_slowly(client)) for client in slow]
            seen: list[Counter[str]] = [Counter() for _ in fast]
            reading = [group.create_task(read_all(*each)) for each in zip(fast, seen, strict=True)]
            written = 0
            while not all(end.done() for end in ends):
                await asyncio.to_thread(complete_in_portions, 50, {"value": "x" * 14_000})
                written += 50
                async with asyncio.timeout(PATIENCE_S):
                    while min(counts["task_updated"] for counts in seen) < 2 * written:
                        await asyncio.sleep(0.01)
            for task in reading:
                task.cancel()
            for end in ends:
                types, code = end.result()
                assert (types.count("resync"), code) == (1, 4408)
            assert not any("resync" in counts for counts in seen)


def narrow_line(port: int) -> socket.socket:
    """A connection on which little can be on its way."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
    line.connect(("127.0.0.1", port))
    line.setblocking(False)
    return line


async def read_slowly(client) -> tuple[list[str], int]:
    """The types of the frames that came, and how it ended."""
    types = []
    try:
        while True:
            types.append((await receive(client))["type"])
            await asyncio.sleep(0.004)
    except websockets.ConnectionClosed as closed:
        return types, closed.rcvd.code if closed.rcvd else 1006


async def read_all(client, seen: Counter[str]) -> None:
    """Count what comes, by type; each task's versions come in order."""
    reached: Counter[str] = Counter()
    while True:
        frame = await receive(client)
        seen[frame["type"]] += 1
        if "event_id" in frame:
            reached[frame["task_id"]] += 1
            assert frame["version"] == reached[frame["task_id"]]


def complete_in_portions(count: int, result) -> None:
    for _ in range(count // 50):
        complete_many(50, result)
    connection.close()


def complete_many(count: int, result) -> None:
    from tasks import lifecycle
    from tasks.changes import Outcome
    from tasks.models import Task
    from tasks.states import Actions
    from tests.factories import make_worker

    tasks = [submit("test.echo") for _ in range(count)]
    claimed = lifecycle.claim(Task.objects.ready(), make_worker())
    assert len(claimed) == len(tasks)
    lifecycle.record([Outcome(task.pk, task.lease, Actions.COMPLETE, result=result) for task in claimed], "test")


async def test_a_dead_peer_is_found_by_the_protocols_ping(kind, root):
    """It has completed the handshake and never says a word again: neither does it answer, nor is its cable cut."""
    with running(kind, options=PINGS[kind]) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        headers = {
            "Host": f"localhost:{server.port}", "Upgrade": "websocket", "Connection": "Upgrade",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version": "13",
            "Authorization": f"Bearer {root}",
        }  # fmt: skip
        lines = [f"GET {TASKS} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionError):
                while await reader.read(65_536):
                    pass
        writer.close()
