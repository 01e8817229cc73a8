"""An accepted socket, as the server below us knows it.

ASGI is enough to be correct under uvicorn and its like, whose `send` waits while the client reads slowly. Under daphne
two things are missing: it buffers without bound whatever it is given, and it refuses the registered close codes (1012
among them) by an exception. So we reach behind ASGI, by the `send` that the server makes: Twisted tells a producer when
its buffer is full, and autobahn can send any close frame.

Under both we also hand over events as the bytes that go onto the wire (`realtime.wire`), which are the same for every
socket. To have each socket's server encode and frame them again would cost more than everything else that is done for a
delivery. Tests against real servers hold all of this to be so; under a server that we don't know, ASGI is used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

CLOSE_S = 5.0


def transport(send: Send) -> Transport:
    """The way to send under the server that made `send`."""
    protocol = next(iter(getattr(send, "args", ())), None)
    if hasattr(protocol, "sendCloseFrame"):
        return Daphne(send, protocol)
    protocol = getattr(send, "__self__", None)
    if isinstance(getattr(protocol, "writable", None), asyncio.Event):
        return Uvicorn(send, protocol)
    return Transport(send)


class Transport:
    """Sends frames, and waits until the client has room for more."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def push(self, frames: bytes) -> bool:
        """Send these now, as they are, without waiting. False when that cannot be done: then nothing was sent."""
        return False

    async def text(self, frame: str) -> None:
        """Raises what the server raises when the client is gone."""
        await self._send({"type": "websocket.send", "text": frame})

    async def close(self, code: int) -> None:
        """Returns once the server knows. Raises what the server raises, and `TimeoutError` with a client that takes
        nothing any more."""
        async with asyncio.timeout(CLOSE_S):
            await self._send({"type": "websocket.close", "code": code})


class Uvicorn(Transport):
    def __init__(self, send: Send, protocol: Any) -> None:
        super().__init__(send)
        self._socket, self._writable = protocol.transport, protocol.writable

    def push(self, frames: bytes) -> bool:
        if not self._writable.is_set() or self._socket.is_closing():
            return False
        self._socket.write(frames)
        return True


class Daphne(Transport):
    def __init__(self, send: Send, protocol: Any) -> None:
        super().__init__(send)
        self._protocol, self._socket = protocol, protocol.transport
        self._brake = Brake.on(self._socket)

    def push(self, frames: bytes) -> bool:
        if self._brake.is_on or self._protocol.state != self._protocol.STATE_OPEN:
            return False
        self._socket.write(frames)
        return True

    async def text(self, frame: str) -> None:
        await super().text(frame)
        await self._brake.released()

    async def close(self, code: int) -> None:
        self._protocol.closeHandshakeTimeout = CLOSE_S  # then autobahn resets the line, with all that is on its way
        self._protocol.sendCloseFrame(code=code)


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

    @property
    def is_on(self) -> bool:
        return not self._free.is_set()

    async def released(self) -> None:
        if self.is_on:
            await self._free.wait()
