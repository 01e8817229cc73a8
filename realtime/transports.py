"""An accepted socket, as the server below us knows it.

ASGI is enough under uvicorn and its like, whose `send` waits while the client reads slowly. Under daphne two things are
missing, and we reach behind ASGI for them, by the arguments of the `send` that daphne makes: it buffers without bound
whatever it is given, and it refuses the registered close codes (1012 among them) by an exception. Twisted tells a
producer when its buffer is full, and autobahn can send any close frame. Tests against real servers hold it to be so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

CLOSE_S = 5.0


class Transport:
    """Sends frames, and waits until the client has room for more."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._daphne = _daphne_protocol(send)
        self._brake = Brake.on(self._daphne.transport) if self._daphne else None

    async def text(self, frame: str) -> None:
        """Raises what the server raises when the client is gone."""
        await self._send({"type": "websocket.send", "text": frame})
        if self._brake:
            await self._brake.released()

    async def close(self, code: int) -> None:
        """Returns once the server knows. Raises what the server raises, and `TimeoutError` with a client that takes
        nothing any more."""
        if self._daphne:
            self._daphne.sendCloseFrame(code=code)
        else:
            async with asyncio.timeout(CLOSE_S):
                await self._send({"type": "websocket.close", "code": code})


class Brake:
    """A producer in Twisted's sense: it is told to pause when more than 64 KiB wait to be written."""

    def __init__(self) -> None:
        self._free = asyncio.Event()
        self._free.set()

    @classmethod
    def on(cls, transport: Any) -> Brake:
        brake = cls()
        transport.unregisterProducer()  # the HTTP channel's, which was there before the upgrade
        transport.registerProducer(brake, True)
        return brake

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


def _daphne_protocol(send: Send) -> Any:
    """daphne's side of the socket; None under another server."""
    protocol = next(iter(getattr(send, "args", ())), None)
    return protocol if hasattr(protocol, "sendCloseFrame") else None
