"""A TCP proxy in front of a server: a test breaks the line there, without a word, or in the worst moment."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"  # as PostgreSQL's clients send it


class Proxy:
    """Listens while `running` lasts. Everything is passed on, until somebody says otherwise."""

    def __init__(self, port: int, seed: int = 1) -> None:
        """`port`: the server's, on this machine."""
        self.port = 0  # our own
        self._server_port = port
        self._random = Random(seed)
        self._loop = asyncio.new_event_loop()
        self._lines: set[asyncio.Task[None]] = set()
        self.lost_commits = 0
        self._commits_lost = 0.0

    @contextmanager
    def running(self) -> Iterator[Proxy]:
        thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        thread.start()
        self._do(self._listen())
        try:
            yield self
        finally:
            self._do(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Nothing comes through, and nobody is told, as when a cable is pulled. In the end it arrives, late."""
        self._do(self._set(self._open.clear))
        try:
            yield
        finally:
            self._do(self._set(self._open.set))

    @contextmanager
    def losing_commits(self, share: float) -> Iterator[None]:
        """Of that share of the transactions nobody learns whether they are committed. Half of them are, a moment
        after the line was cut."""
        self._commits_lost = share
        try:
            yield
        finally:
            self._commits_lost = 0.0

    # -- in the loop's thread ---------------------------------------------------------------------------------------

    def _do(self, work) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _set(self, change) -> None:
        change()

    async def _listen(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._lines.add(line := asyncio.current_task())
        line.add_done_callback(self._lines.discard)
        with suppress(OSError):
            await self._open.wait()
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pass_on(reader, server_writer, writer))
                    both.create_task(self._pass_on(server_reader, writer))
            except* (OSError, Cut):
                pass
            finally:
                for end in (writer, server_writer):
                    end.close()

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        client: asyncio.StreamWriter | None = None,
    ) -> None:
        while data := await reader.read(65536):
            await self._open.wait()
            if client and data.endswith(COMMIT) and self._random.random() < self._commits_lost:
                self.lost_commits += 1
                client.transport.abort()
                if self._random.random() < 0.5:
                    await asyncio.sleep(0.3)  # longer than the client takes to come back and look
                    writer.write(data)
                    await writer.drain()
                    await asyncio.sleep(0.3)
                raise Cut
            writer.write(data)
            await writer.drain()
        raise Cut


class Cut(Exception):
    """One end has gone, so the other has to."""
