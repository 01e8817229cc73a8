"""A gate between a client and a hub, for what networks do: it cuts, it refuses sockets, it loses answers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

REFUSAL = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Gate:
    """Relays TCP. `sockets` counts those that were asked for; `answers_to_lose` are cut instead of being delivered."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self.refuses_sockets = False
        self.answers_to_lose = 0
        self.sockets = 0

    def open(self) -> str:
        """The address that stands for the hub's."""
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """As a broken network does it: without a word."""
        self._loop.call_soon_threadsafe(self._cut)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._relay, "127.0.0.1", 0)

    def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _close(self) -> None:
        self._server.close()
        self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._kept(writer), contextlib.suppress(OSError):
            first = await reader.read(65_536)
            is_socket = b"upgrade: websocket" in first.lower()
            self.sockets += is_socket
            if is_socket and self.refuses_sockets:
                writer.write(REFUSAL)
                await writer.drain()
                return
            there_reader, there = await asyncio.open_connection("127.0.0.1", self._target)
            with self._kept(there):
                there.write(first)
                if not is_socket and self.answers_to_lose:
                    self.answers_to_lose -= 1
                    await there_reader.read(65_536)
                    writer.transport.abort()
                    return
                _, running = await asyncio.wait(
                    [asyncio.create_task(_copy(reader, there)), asyncio.create_task(_copy(there_reader, writer))],
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in running:
                    task.cancel()

    @contextlib.contextmanager
    def _kept(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        self._writers.add(writer)
        try:
            yield
        finally:
            self._writers.discard(writer)
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
