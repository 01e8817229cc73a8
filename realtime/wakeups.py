"""What wakes the feed: the channel layer's group, and where there is no Redis the database itself."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

from channels.layers import get_channel_layer

from realtime.groups import HINTS
from tasks import hints

LOOK_S = 0.1  # how soon the thread notices that nobody wants it any more


async def follow_group(hint: Callable[[], None]) -> None:
    """Call `hint` for each message to the group, as a member of it, until this is canceled."""
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(HINTS, channel)
    try:
        hint()  # what happened before is unknown
        while True:
            await layer.receive(channel)
            hint()
    finally:
        with contextlib.suppress(Exception):
            await layer.group_discard(HINTS, channel)


class DatabaseWatch(threading.Thread):
    """Calls `hint` in the event loop whenever the database says that something was committed."""

    def __init__(self, hint: Callable[[], None]) -> None:
        super().__init__(name="hints", daemon=True)
        self._loop = asyncio.get_running_loop()
        self._hint = hint
        self._unwanted = threading.Event()

    def run(self) -> None:
        with hints.listen() as listener, contextlib.suppress(RuntimeError):  # the loop was closed
            while not self._unwanted.is_set():
                if listener.wait(LOOK_S):
                    self._loop.call_soon_threadsafe(self._hint)

    def stop(self) -> None:
        self._unwanted.set()
