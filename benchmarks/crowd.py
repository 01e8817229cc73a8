"""Many clients that come back: their sockets are reset again and again, or their server dies, and they go on.

    python -m benchmarks.crowd '{"ports": [8000], "path": "/api/v1/tasks/stream", "token": "...", "count": 500,
                                 "every_s": 15, "offline_s": 2}'

A process of its own, like `benchmarks.listeners`. It says `ready` when everybody was let in once, then cuts each socket
every `every_s` seconds or so without a word (never, if that is 0) and leaves it alone for `offline_s`. Who finds nobody
tries again with full jitter, half a second to twenty. For each line on its input it prints what has come until now; the
line `rest` also ends the cuts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.listeners import CLOSE, PING, PONG, Frames, frame, handshake

ROOT = Path(__file__).resolve().parent.parent
AT_ONCE = struct.pack("ii", 1, 0)  # a socket that lingers for no time is closed by RST
SHORTEST_S, LONGEST_S = 0.5, 20.0
OPENING_S = 20.0  # who has not been let in by then tries again
STAGGER_S = 0.005


class Line(Frames):
    """One connection. `take` is called with each frame, `over` once."""

    def __init__(self, request: bytes, take: Callable[[dict[str, Any]], None], over: Callable[[], None]) -> None:
        super().__init__(request)
        self._tell, self._over = take, over

    def connection_lost(self, error: Exception | None) -> None:
        self._over()

    def take(self, code: int, payload: bytes) -> None:
        if code == PING:
            self.transport.write(frame(PONG, payload))
        elif code == CLOSE:
            self.transport.abort()
        else:
            self._tell(json.loads(payload))

    def cut(self) -> None:
        """As a broken network does it: whatever is on its way is lost."""
        with contextlib.suppress(OSError):
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        self.transport.abort()


class Client:
    """Goes on from the last cursor that it was sent, and checks what it is told."""

    def __init__(self, crowd: Crowd) -> None:
        self.seen: set[str] = set()
        self.reached: dict[str, int] = {}
        self.openings = self.repeated = self.unordered = 0
        self.is_in = asyncio.Event()
        self.line: Line | None = None
        self._crowd = crowd
        self._cursor: str | None = None
        self._left_at = 0.0  # when it began to try to come back

    async def run(self) -> None:
        failures = 0
        while True:
            if await self._follow():
                failures = 0
                await asyncio.sleep(self._crowd.offline_s)
                self._left_at = time.monotonic()
            else:
                failures += 1
                await asyncio.sleep(random.uniform(SHORTEST_S, max(SHORTEST_S, min(LONGEST_S, 2.0**failures))))

    async def _follow(self) -> bool:
        """Until the end of one connection; whether it was let in."""
        over, loop = asyncio.Event(), asyncio.get_running_loop()
        since = f"?since={self._cursor}" if self._cursor else ""
        request = handshake(self._crowd.path + since, self._crowd.token)
        self.is_in.clear()
        line = Line(request, self._take, over.set)
        try:
            await loop.create_connection(lambda: line, "127.0.0.1", random.choice(self._crowd.ports))
            async with asyncio.timeout(OPENING_S):
                entered = asyncio.ensure_future(self.is_in.wait())
                await asyncio.wait(
                    [entered, ended := asyncio.ensure_future(over.wait())], return_when="FIRST_COMPLETED"
                )
                entered.cancel()
                ended.cancel()
        except (OSError, TimeoutError):
            line.give_up()
            return False
        self.line = line if self.is_in.is_set() else None
        await over.wait()
        self.line = None
        return self.is_in.is_set()

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["type"] in ("resync", "error") or not frame.get("recovered", True):
            self._crowd.refusals += 1
        if frame["type"] == self._crowd.ready and not self.is_in.is_set():
            self._enter()
        if frame["type"] == "hello":
            self._cursor = self._cursor or frame.get("cursor")
        if "event_id" in frame:
            self._cursor = frame["cursor"] if self._crowd.resumes else None
            self._check(frame)

    def _enter(self) -> None:
        if self.openings:
            self._crowd.returns.append(time.monotonic() - self._left_at)
        self.openings += 1
        self.is_in.set()

    def _check(self, event: dict[str, Any]) -> None:
        task, version = event["task_id"], event["version"]
        if event["event_id"] in self.seen:
            self.repeated += 1
        elif version <= self.reached.get(task, 0):
            self.unordered += 1
        self.seen.add(event["event_id"])
        self.reached[task] = max(version, self.reached.get(task, 0))

    async def is_cut_now_and_then(self, every_s: float) -> None:
        while self._crowd.cuts:
            await asyncio.sleep(random.uniform(0.5, 1.5) * every_s)
            if self._crowd.cuts and self.line:
                self.line.cut()


class Crowd:
    def __init__(self, ports: list[int], path: str, token: str, count: int, every_s: float, offline_s: float) -> None:
        self.ports, self.path, self.token, self.offline_s = ports, path, token, offline_s
        self.resumes = bool(token)  # a stock consumer knows neither tokens nor cursors
        self.ready = "subscribed" if self.resumes else "hello"
        self.cuts = every_s > 0
        self.returns: list[float] = []  # seconds
        self.refusals = 0  # of replays
        self._every_s = every_s
        self._clients = [Client(self) for _ in range(count)]

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            for client in self._clients:
                group.create_task(client.run())
                await asyncio.sleep(STAGGER_S)
            for client in self._clients:
                await client.is_in.wait()
            print("ready", flush=True)
            if self.cuts:
                for client in self._clients:
                    group.create_task(client.is_cut_now_and_then(self._every_s))
            while line := await loop.run_in_executor(None, sys.stdin.readline):
                self.cuts = self.cuts and line.strip() != "rest"
                print(json.dumps(self.report()), flush=True)

    def report(self) -> dict[str, Any]:
        """`events` is how many different ones there were at all, `least` the most that every client has."""
        back = sorted(self.returns) or [0.0]
        have = Counter(event for client in self._clients for event in client.seen)
        return {
            "events": len(have),
            "least": min(len(client.seen) for client in self._clients),
            "delivered": sum(have.values()),
            "repeated": sum(client.repeated for client in self._clients),
            "unordered": sum(client.unordered for client in self._clients),
            "refusals": self.refusals,
            "in": sum(client.line is not None for client in self._clients),
            "openings": sum(client.openings for client in self._clients),
            "back_p50": back[len(back) // 2], "back_p95": back[int(len(back) * 0.95)],
            "back_p99": back[int(len(back) * 0.99)], "back_max": back[-1],
        }  # fmt: skip


class Comers:
    """Such a process, for those who start it. Everybody is in when this returns."""

    def __init__(self, ports: list[int], path: str, token: str, count: int, every_s: float = 0, offline_s: float = 0):
        wish = {
            "ports": ports, "path": path, "token": token, "count": count, "every_s": every_s, "offline_s": offline_s
        }  # fmt: skip
        command = [sys.executable, "-m", "benchmarks.crowd", json.dumps(wish)]
        self._process = subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self._line() != "ready":
            raise RuntimeError("the crowd did not come")

    def __enter__(self) -> Comers:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def report(self, word: str = "") -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        return json.loads(self._line())

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


if __name__ == "__main__":
    asyncio.run(Crowd(**json.loads(sys.argv[1])).run())
