"""The client for asyncio, against a real hub. What both clients have in common is tested with the other one."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from taskhub_client import AsyncClient, Client, NotFound, WaitTimeout, aio, following, sync
from tests.hub import PATIENCE

pytestmark = pytest.mark.processes


@pytest_asyncio.fixture
async def client(hub, url) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(url, hub.token) as client, asyncio.timeout(PATIENCE):
        yield client


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(following, "backoff", lambda failures: 0.2)
    monkeypatch.setattr(following, "POLL_S", 0.1)


async def versions_of(task, events):
    """Of the task's events, up to the one that completes it."""
    seen = []
    async for event in events:
        if event.get("task_id") == task["id"]:
            seen.append(event["version"])
            if event["status"] == "completed":
                return seen


@pytest.mark.parametrize(
    ("one", "other"), [(Client, AsyncClient), (sync.Pipelines, aio.AsyncPipelines), (sync.Stream, aio.AsyncStream)]
)
def test_both_clients_have_the_same_methods(one, other):
    def signatures(kind):
        public = {name: thing for name, thing in vars(kind).items() if not name.startswith("_") and callable(thing)}
        return {
            name.removeprefix("a"): str(inspect.signature(method)).replace("Async", "")
            for name, method in public.items()
        }

    assert signatures(one) == signatures(other)


async def test_a_task_is_submitted_and_waited_for(client):
    task = await client.submit("test.echo", {"value": "hello"})
    done = await client.wait(task["id"], timeout=60)
    assert (done["status"], done["result"]) == ("completed", {"value": "hello"})


async def test_many_waits_at_once(client):
    tasks = await client.submit_many([{"name": "test.echo"}] * 20)
    done = await asyncio.gather(*(client.wait(task["id"]) for task in tasks))
    assert {task["status"] for task in done} == {"completed"}


async def test_every_verb_arrives(client):
    task = await client.submit("test.echo", delay=3600)
    assert (await client.status(task["id"]))["status"] == "pending"
    assert (await client.pause(task["id"]))["status"] == "paused"
    assert (await client.resume(task["id"]))["status"] == "pending"
    with pytest.raises(WaitTimeout):
        await client.wait(task["id"], timeout=0.3)
    assert (await client.cancel(task["id"]))["status"] == "canceled"
    assert (await client.resurrect(task["id"]))["status"] == "pending"
    with pytest.raises(NotFound):
        await client.wait("00000000-0000-7000-8000-000000000000")


async def test_every_verb_of_pipelines_arrives(client):
    held = await client.pipelines.submit("held", [{"name": "only", "handler": "test.echo", "delay": 3600}])
    assert (await client.pipelines.pause(held["id"]))["status"] == "paused"
    assert (await client.pipelines.resume(held["id"]))["status"] in ("pending", "processing")
    assert (await client.pipelines.cancel(held["id"]))["status"] == "canceled"
    quick = await client.pipelines.submit("quick", [{"name": "only", "handler": "test.echo"}])
    assert (await client.pipelines.wait(quick["id"], timeout=60))["status"] == "completed"


async def test_a_cut_is_not_noticed(client, gate, impatient):
    async with client.stream(queue="*") as events:
        for _ in range(3):
            task = await client.submit("test.echo")
            gate.cut()
            assert await versions_of(task, events) == [1, 2, 3]
    assert gate.sockets > 1


async def test_where_sockets_are_blocked_it_polls_and_comes_back_to_them(client, gate, impatient):
    gate.refuses_sockets = True
    async with client.stream() as events:
        polled = await client.submit("test.echo")
        assert await versions_of(polled, events) == [1, 2, 3]
        gate.refuses_sockets = False
        async for event in events:
            if event["type"] == "queue_status":  # only sockets bring it
                break


async def test_a_refusal_names_its_subscription_and_the_others_go_on(client):
    async with client.stream({"task_id": "nonsense"}, {"queue": "*"}) as events:
        with pytest.raises(NotFound) as raised:
            await anext(events)
        assert raised.value.subscription == {"task_id": "nonsense"}
        task = await client.submit("test.echo")
        assert await versions_of(task, events) == [1, 2, 3]


async def test_who_gives_up_on_one_event_still_gets_the_next(client):
    async with client.stream(queue="*", events=["task_created"]) as events:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(events), 0.5)
        task = await client.submit("test.echo")
        assert (await anext(events))["task_id"] == task["id"]


async def test_a_stream_that_was_closed_has_ended(client):
    events = client.stream()
    await events.aclose()
    assert [event async for event in events] == []
