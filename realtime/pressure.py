"""How fast a client reads. uvicorn and its like make `send` wait; daphne takes everything at once and buffers it.

For daphne we ask Twisted, whose transports tell a producer when their buffer is full. That reaches behind ASGI: into
the arguments of the `send` that daphne makes. A test against a real daphne holds it to be true.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Brake:
    """A producer in Twisted's sense: it is told to pause when more than 64 KiB wait to be written."""

    def __init__(self) -> None:
        self._free = asyncio.Event()
        self._free.set()

    def pauseProducing(self) -> None:
        self._free.clear()

    def resumeProducing(self) -> None:
        self._free.set()

    def stopProducing(self) -> None:
        """The socket is gone: whoever waits learns of it by what it sends next."""
        self._free.set()

    async def released(self) -> None:
        if not self._free.is_set():
            await self._free.wait()


def brake(send: Send) -> Brake | None:
    """A brake on the connection behind an open socket's `send`; None where `send` itself waits."""
    protocol = next(iter(getattr(send, "args", ())), None)
    transport: Any = getattr(protocol, "transport", None)
    if not hasattr(transport, "registerProducer"):
        return None
    made = Brake()
    transport.unregisterProducer()  # the HTTP channel's, which was there before the upgrade
    transport.registerProducer(made, True)
    return made
