"""From a committed change to the channel layer: one group message, a hint, at most every ten milliseconds.

The signals come in any thread of any process, where there is no event loop; `async_to_sync` would make a loop and a
new connection for each message. So with Redis we publish what channels-redis would, from a synchronous client.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import redis
from asgiref.sync import async_to_sync
from channels.layers import InMemoryChannelLayer, get_channel_layer
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.dispatch import receiver

from realtime import switchboard
from realtime.groups import HINTS, hint
from tasks.hints import Coalesced, redis_client
from tasks.signals import log_written, task_logged


def publish() -> None:
    """Send the hint to the group. Raises what the layer raises."""
    layer = get_channel_layer()
    if isinstance(layer, RedisPubSubChannelLayer):
        _client().publish(f"asgi__group__{HINTS}", layer.serialize(hint()))
    elif isinstance(layer, InMemoryChannelLayer):  # it reaches this process only, so only sockets of this one
        for loop, _ in switchboard.everywhere():
            asyncio.run_coroutine_threadsafe(layer.group_send(HINTS, hint()), loop)
    else:
        async_to_sync(layer.group_send)(HINTS, hint())


announce = Coalesced(publish)


@receiver([log_written, task_logged], dispatch_uid="realtime.announce")
def on_change(**_: Any) -> None:
    announce()


@functools.cache
def _client() -> redis.Redis:
    return redis_client()
