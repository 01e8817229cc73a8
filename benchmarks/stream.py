"""The live stream: what a delivered event costs and how long it takes, and how many sockets one process holds.

Beside it, on the same kind of server in the same run, stands a consumer as Channels teaches it, with `group_send` over
the same Redis. TaskHub's figures include reading the log and the permissions; the stock consumer is handed its events.
CPU is that of the web process, as the kernel counts it, from before the first event until the last has arrived.

    python -m benchmarks stream                                          all parts
    PARTS=cost SERVERS=uvicorn SECONDS=4 python -m benchmarks stream     of cost, time, sockets, idle
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import REDIS_VARIABLE
from benchmarks.listeners import SUBSCRIBE, Listeners
from benchmarks.servers import postgres_server, process, redis_server
from tests.services import free_port

PARTS = os.environ.get("PARTS", "cost,time,sockets,idle").split(",")
SERVERS = os.environ.get("SERVERS", "uvicorn,daphne").split(",")
SECONDS, SOCKETS = int(os.environ.get("SECONDS", 10)), int(os.environ.get("SOCKETS", 100))
MANY, IDLE = int(os.environ.get("MANY", 1000)), int(os.environ.get("IDLE", 5000))
ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0  # seconds
REST = 5.0  # seconds without another event: what has not come by then is lost
PATH = "/api/v1/stream"
COMMANDS = {
    "uvicorn": "-m uvicorn --log-level warning --ws-per-message-deflate false --port {port} {application}",
    "daphne": "-m daphne --no-server-name -v 0 --websocket_timeout -1 -p {port} {application}",
}
TASKHUB, STOCK = "taskhub.asgi:application", "benchmarks.contenders.stock:application"


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    parts = {"cost": cost, "time": latency, "sockets": sockets, "idle": idle}
    with services() as (embedded, large):
        for name in PARTS:
            parts[name](embedded, large)


# -- parts ---------------------------------------------------------------------------------------------------------


def cost(_: Place, large: Place) -> None:
    print(f"\nCPU of the web process for each event and socket, {SOCKETS} sockets, {SECONDS} s, in µs\n")
    print(f"{'':<8} {'events/s':>8} {'':>9} {'stock':>8} {'TaskHub':>8} {'ratio':>6}")
    for kind in SERVERS:
        for rate, batch in ((50, False), (200, True)):
            with web(kind, STOCK, large) as server:
                stock = server.measure(rate, SOCKETS, batch=False)
            with web(kind, TASKHUB, large) as server:
                ours = server.measure(rate, SOCKETS, batch=batch)
            how = "batched" if batch else "single"
            ratio = stock.cpu / ours.cpu
            print(f"{kind:<8} {rate:>8} {how:>9} {stock.cpu:>8.1f} {ours.cpu:>8.1f} {ratio:>6.1f}", flush=True)


def latency(embedded: Place, large: Place) -> None:
    print(f"\nFrom commit to client, {SOCKETS} sockets, 50 events/s, {SECONDS} s, in milliseconds\n")
    _head()
    for kind in SERVERS:
        for name, place in (("embedded", embedded), ("PostgreSQL, Redis", large)):
            with web(kind, TASKHUB, place) as server:
                _row(f"{kind}, {name}", server.measure(50, SOCKETS, batch=False))
        with web(kind, STOCK, large) as server:
            _row(f"{kind}, stock", server.measure(50, SOCKETS, batch=False))


def sockets(_: Place, large: Place) -> None:
    print(f"\n{MANY} sockets on one process, 20 events/s in batches, {SECONDS} s, in milliseconds\n")
    _head()
    for kind in SERVERS:
        with web(kind, TASKHUB, large) as server:
            _row(kind, server.measure(20, MANY, batch=True))


def idle(_: Place, large: Place) -> None:
    print(f"\n{IDLE} sockets held idle\n")
    for kind in SERVERS:
        with web(kind, TASKHUB, large) as server:
            held, cpu = server.hold(IDLE, SECONDS)
            print(f"{kind:<8} {held / 1024:>6.1f} KiB a socket, {cpu * 100:.1f} % of a core", flush=True)


def _head() -> None:
    print(f"{'':<28} {'median':>8} {'p99':>8} {'highest':>8} {'delivered':>12}")


def _row(name: str, taken: Taken) -> None:
    delivered = f"{taken.delivered:.2%}"
    print(f"{name:<28} {taken.p50:>8.1f} {taken.p99:>8.1f} {taken.highest:>8.1f} {delivered:>12}", flush=True)


# -- where it happens ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A database with the tables, and the token of somebody who sees everything."""

    environment: dict[str, str]
    token: str


@contextlib.contextmanager
def services() -> Iterator[tuple[Place, Place]]:
    """SQLite alone; PostgreSQL and Redis."""
    with redis_server() as redis_url, postgres_server() as postgres_url:
        large = {"DATABASE_URL": postgres_url, "REDIS_URL": redis_url}
        with _place(redis_url, {}) as embedded, _place(redis_url, large) as both:
            yield embedded, both


@contextlib.contextmanager
def _place(redis_url: str, environment: dict[str, str]) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as home:
        environment = {
            "DATABASE_URL": "", "REDIS_URL": "", REDIS_VARIABLE: redis_url, **environment,
            "TASKHUB_DATA": home, "TASKHUB_ENV": "development", "TASKHUB_APPS": "benchmarks.contenders",
            "TASKHUB_STREAM_CONNECTIONS": "100000", "TASKHUB_WORKERS": "2",
        }  # fmt: skip
        run(environment, "migrate", "-v0")
        yield Place(environment, run(environment, "token", "admin", "--create", "--scope", "admin", "read").split()[-1])


# -- one web process -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Taken:
    """`cpu` in microseconds for each event and socket, the ages in milliseconds."""

    cpu: float
    p50: float
    p99: float
    highest: float
    delivered: float


@dataclass(frozen=True)
class Web:
    pid: int
    port: int
    is_stock: bool
    place: Place

    def measure(self, rate: int, sockets: int, batch: bool) -> Taken:
        """Everything until each socket has each event."""
        count = rate * SECONDS
        with self._listeners(sockets, batch) as listeners, self._writer(rate, count) as writer:
            before = cpu_of(self.pid)
            writer.communicate("go\n")
            ages = [listeners.report()]
            moved_at = time.monotonic()
            while ages[-1]["least"] < count and time.monotonic() - moved_at < REST:
                time.sleep(0.2)
                ages.append(listeners.report())
                if ages[-1]["events"] > ages[-2]["events"]:
                    moved_at = time.monotonic()
            spent, got = cpu_of(self.pid) - before, ages[-1]["events"]
        return Taken(
            spent / got * 1e6, ages[0]["p50"], ages[0]["p99"], max(some["max"] for some in ages),
            got / (count * sockets),
        )  # fmt: skip

    def hold(self, sockets: int, seconds: float) -> tuple[float, float]:
        """Bytes for each socket, and the share of a core that they take while nothing happens."""
        with self._listeners(1, batch=True):
            before = memory_of(self.pid)
            with self._listeners(sockets, batch=True):
                began, cpu = time.monotonic(), cpu_of(self.pid)
                time.sleep(seconds)
                share = (cpu_of(self.pid) - cpu) / (time.monotonic() - began)
                return (memory_of(self.pid) - before) / sockets, share

    def _listeners(self, sockets: int, batch: bool) -> Listeners:
        if self.is_stock:
            return Listeners(self.port, PATH, sockets)
        return Listeners(self.port, PATH, sockets, self.place.token, {**SUBSCRIBE, "batch": batch})

    def _writer(self, rate: int, count: int) -> subprocess.Popen[str]:
        """A process that is ready to write, and waits for a line of input."""
        module, name = ("contenders.stock", "publish") if self.is_stock else ("stream", "write")
        code = f"from benchmarks.{module} import {name}; print('ready', flush=True); input(); {name}({rate}, {count})"
        writer = subprocess.Popen(
            manage("shell", "-v0", "-c", code), env=os.environ | self.place.environment, text=True, cwd=ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert writer.stdout
        while writer.stdout.readline().strip() != "ready":
            pass
        return writer


@contextlib.contextmanager
def web(kind: str, application: str, place: Place) -> Iterator[Web]:
    """A web process, and nothing else."""
    port = free_port()
    command = [sys.executable, *COMMANDS[kind].format(port=port, application=application).split()]
    with process(command, place.environment) as server:
        _await_port(port)
        yield Web(server.pid, port, application == STOCK, place)


def write(rate: float, count: int) -> None:
    """Submit so many tasks, evenly, each in a transaction of its own: in the process of a `manage.py shell`."""
    from tasks import submit

    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0, began + number / rate - time.monotonic()))
        submit("benchmark.increment")


def manage(*command: str) -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), *command]


def run(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(manage(*command), env=os.environ | environment, text=True, capture_output=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def _await_port(port: int) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.05)
    raise TimeoutError("the server does not listen")


def cpu_of(pid: int) -> float:
    """Seconds of CPU that the process has used, in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> int:
    """Bytes that it holds in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
