"""Many sockets for little: a load client that costs microseconds a frame, in a process of its own.

    python -m benchmarks.listeners PORT PATH COUNT TOKEN [FIRST FRAME]

It opens so many sockets, says `ready` when each has had its first frame (or, if it sends one, the answer to that), and
for each line on its input prints what has come since the last one: events per socket, and their ages in seconds. The
protocol is written out here, since a client library would cost more than the servers that are measured.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EVENT = re.compile(rb'"event_id":')
MOMENT = re.compile(rb'"timestamp": ?"([^"]+)"')
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
OPENING = 100  # sockets at once
SUBSCRIBE = {"type": "subscribe", "task_id": "*"}


@functools.lru_cache
def seconds(moment: bytes) -> float:
    """The same event comes to every socket: its moment is read once."""
    return dt.datetime.fromisoformat(moment.decode()).timestamp()


class Frames(asyncio.Protocol):
    """A client's end of one socket: sends `request` and, once it is open, `first`; then `take` gets each frame."""

    transport: Any = None

    def __init__(self, request: bytes, first: bytes = b"") -> None:
        self._request, self._first = request, first
        self._buffer = b""
        self._is_upgraded = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self._request)

    def take(self, code: int, payload: bytes) -> None:
        raise NotImplementedError

    def give_up(self) -> None:
        if self.transport:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        if not self._is_upgraded:
            head, end, buffer = buffer.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                raise ConnectionError(head.decode())
            self._is_upgraded = True
            if self._first:
                self.transport.write(frame(TEXT, self._first))
        self._buffer = self._take_frames(buffer)

    def _take_frames(self, buffer: bytes) -> bytes:
        """What is left: the beginning of a frame."""
        at = 0
        while len(buffer) - at >= 2:
            size, start = buffer[at + 1], at + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                size, start = int.from_bytes(buffer[start : start + width], "big"), start + width
            if len(buffer) < start + size:
                break
            self.take(buffer[at] & 15, buffer[start : start + size])
            at = start + size
        return buffer[at:]


class Socket(Frames):
    """Counts. `ages` is shared by all sockets of the process."""

    def __init__(self, path: str, token: str, first: str, ages: list[float]) -> None:
        super().__init__(handshake(path, token), first.encode())
        self.events = 0
        self.opened = asyncio.get_running_loop().create_future()
        self._ages = ages

    def connection_lost(self, error: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(error or ConnectionError("the server hung up"))

    def take(self, code: int, payload: bytes) -> None:
        if code == PING:
            self.transport.write(frame(PONG, payload))
        elif code == CLOSE:
            raise ConnectionError(f"closed by the server: {int.from_bytes(payload[:2], 'big')}")
        elif events := len(EVENT.findall(payload)):
            self.events += events
            now = time.time()
            self._ages.extend(now - seconds(moment) for moment in MOMENT.findall(payload))
        elif not self.opened.done() and (not self._first or b'"subscribed"' in payload):
            self.opened.set_result(None)


def handshake(path: str, token: str) -> bytes:
    lines = [
        f"GET {path} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13", f"Authorization: Bearer {token}",
    ]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode()


def frame(code: int, payload: bytes) -> bytes:
    """A client masks what it sends; a mask of zeros changes nothing."""
    size = len(payload)
    head = bytes([128 | code, 128 | size]) if size < 126 else bytes([128 | code, 254]) + size.to_bytes(2, "big")
    return head + bytes(4) + payload


async def listen(port: int, path: str, count: int, token: str, first: str) -> None:
    loop = asyncio.get_running_loop()
    ages: list[float] = []
    sockets: list[Socket] = []
    while len(sockets) < count:
        some = [Socket(path, token, first, ages) for _ in range(min(OPENING, count - len(sockets)))]
        for socket in some:
            await loop.create_connection(functools.partial(_same, socket), "127.0.0.1", port)
        await asyncio.gather(*(socket.opened for socket in some))
        sockets += some
    print("ready", flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(report([socket.events for socket in sockets], ages)), flush=True)


def _same(socket: Socket) -> Socket:
    return socket


def report(events: list[int], ages: list[float]) -> dict[str, float]:
    """Ages in milliseconds; `least` are the events of the socket that got the fewest, `events` those of all sockets."""
    taken, ages[:] = sorted(ages), []
    p50, p99 = (statistics.quantiles(taken, n=100)[index] * 1000 for index in (49, 98)) if len(taken) > 1 else (0, 0)
    return {"least": min(events), "events": sum(events), "p50": p50, "p99": p99, "max": max(taken, default=0) * 1000}


# -- for those who start it ----------------------------------------------------------------------------------------


class Listeners:
    """Such a process. Its sockets are open when this returns."""

    def __init__(self, port: int, path: str, count: int, token: str = "", first: dict[str, Any] | None = None) -> None:
        command = [sys.executable, "-m", "benchmarks.listeners", str(port), path, str(count), token]
        self._process = subprocess.Popen(
            [*command, json.dumps(first) if first else ""], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        if self._line() != "ready":
            raise RuntimeError("the listeners did not start")

    def __enter__(self) -> Listeners:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def report(self) -> dict[str, float]:
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return json.loads(self._line())

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


if __name__ == "__main__":
    port, path, count, token, first = sys.argv[1:]
    asyncio.run(listen(int(port), path, int(count), token, first))
