"""From a committed change to the members of the group, whatever carries it."""

from __future__ import annotations

import asyncio

import pytest
from channels.layers import get_channel_layer
from channels_redis.pubsub import RedisPubSubChannelLayer

from realtime import receivers, switchboard
from realtime.database import in_database
from realtime.groups import HINTS, hint
from tasks import submit


@pytest.mark.redis
async def test_with_redis_every_member_of_the_group_gets_what_channels_would_send(redis_server, settings, monkeypatch):
    """The wire format is channels-redis' own: this fails when it changes."""
    settings.REDIS_URL = redis_server.url
    layer = RedisPubSubChannelLayer(hosts=[redis_server.url])
    monkeypatch.setattr(receivers, "get_channel_layer", lambda: layer)
    receivers._client.cache_clear()
    members = [await layer.new_channel() for _ in range(2)]
    for member in members:
        await layer.group_add(HINTS, member)
    await asyncio.to_thread(receivers.publish)
    assert [await asyncio.wait_for(layer.receive(member), 10) for member in members] == [hint(), hint()]
    await layer.flush()
    receivers._client.cache_clear()


@pytest.mark.redis
async def test_another_layer_is_spoken_to_in_its_own_way(redis_server, monkeypatch):
    from channels_redis.core import RedisChannelLayer

    layer = RedisChannelLayer(hosts=[redis_server.url])
    monkeypatch.setattr(receivers, "get_channel_layer", lambda: layer)
    member = await layer.new_channel()
    await layer.group_add(HINTS, member)
    await asyncio.to_thread(receivers.publish)
    assert await asyncio.wait_for(layer.receive(member), 10) == hint()
    await layer.flush()


@pytest.mark.django_db(transaction=True)
async def test_within_one_process_a_change_is_heard_without_redis(connect, root):
    """The layer in memory reaches the loops that have sockets, from any thread."""
    await (await connect(token=root)).until("hello")
    layer = get_channel_layer()
    member = await layer.new_channel()
    await layer.group_add(HINTS, member)
    await in_database(submit, "test.echo")
    assert await asyncio.wait_for(layer.receive(member), 10) == hint()
    await layer.group_discard(HINTS, member)


async def test_without_sockets_a_layer_in_memory_is_left_alone():
    assert switchboard.everywhere() == []
    receivers.publish()
