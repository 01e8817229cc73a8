"""The feed is woken by the group, and by the database where there is no Redis."""

from __future__ import annotations

import asyncio

import pytest
from channels.layers import InMemoryChannelLayer, get_channel_layer

from realtime import wakeups
from realtime.database import in_database
from realtime.groups import HINTS, hint
from realtime.wakeups import DatabaseWatch, follow_group
from tasks.models import Marker


class Heard:
    def __init__(self) -> None:
        self.event = asyncio.Event()

    def hint(self) -> None:
        self.event.set()

    async def again(self) -> None:
        await asyncio.wait_for(self.event.wait(), 10)
        self.event.clear()


async def test_a_message_to_the_group_is_heard(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    heard = Heard()
    following = asyncio.create_task(follow_group(heard.hint))
    await heard.again()
    for _ in range(3):
        await get_channel_layer().group_send(HINTS, hint())
        await heard.again()
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
    assert HINTS not in get_channel_layer().groups


async def test_a_layer_that_is_away_raises(monkeypatch):
    class Away(InMemoryChannelLayer):
        async def group_add(self, group, channel):
            raise ConnectionError("away")

    monkeypatch.setattr(wakeups, "get_channel_layer", Away)
    with pytest.raises(ConnectionError):
        await follow_group(lambda: None)


@pytest.mark.django_db(transaction=True)
async def test_a_commit_is_heard():
    heard = Heard()
    watch = DatabaseWatch(heard.hint)
    watch.start()
    await heard.again()
    await in_database(Marker.objects.create, name="news")
    await heard.again()
    watch.stop()
    await asyncio.to_thread(watch.join, 10)
    assert not watch.is_alive()
