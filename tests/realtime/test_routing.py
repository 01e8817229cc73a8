"""Every address of the contract leads to a socket."""

from __future__ import annotations

import uuid

import pytest

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("path", "subscribed"),
    [("/api/v1/stream", None), ("/api/v1/tasks/stream", {"task_id": "*"})],
)
async def test_addresses_that_anybody_may_follow(connect, root, path, subscribed):
    client = await connect(path, token=root)
    assert (await client.next())["type"] == "hello"
    if subscribed:
        assert subscribed.items() <= (await client.next()).items()
    assert await client.is_silent() or subscribed


@pytest.mark.parametrize("kind", ["tasks", "pipelines"])
async def test_addresses_of_one_thing(connect, root, kind):
    client = await connect(f"/api/v1/{kind}/{uuid.uuid4()}/stream", token=root)
    assert await client.closed() == 4404
