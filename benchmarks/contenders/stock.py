"""A consumer as the documentation of Channels teaches it: one channel a socket, `group_send`, JSON encoded for each.

`uvicorn benchmarks.contenders.stock:application` serves it, over the same channel layer as TaskHub; `publish` sends.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import uuid
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "taskhub.settings")

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import get_channel_layer
from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

GROUP = "events"


class Consumer(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()
        await self.send_json({"type": "hello"})

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def task_event(self, message: dict[str, Any]) -> None:
        await self.send_json(message["event"])


application = ProtocolTypeRouter({"http": get_asgi_application(), "websocket": Consumer.as_asgi()})


def publish(rate: float, count: int) -> None:
    """So many events, evenly, each of the size of TaskHub's own."""
    asyncio.run(_publish(rate, count))


async def _publish(rate: float, count: int) -> None:
    layer, clock = get_channel_layer(), asyncio.get_running_loop().time
    began = clock()
    for number in range(count):
        await asyncio.sleep(max(0, began + number / rate - clock()))
        await layer.group_send(GROUP, {"type": "task.event", "event": _event(number)})


def _event(number: int) -> dict[str, Any]:
    task_id = str(uuid.uuid4())
    return {
        "type": "task_created", "timestamp": dt.datetime.now(dt.UTC).isoformat(), "event_id": f"e5d1f0aa.{number:x}",
        "cursor": f"e5d1f0aa.{number:x}.3a5c8", "task_id": task_id, "task_name": "benchmark.increment",
        "queue": "default", "status": "pending", "version": 1,
    }  # fmt: skip
