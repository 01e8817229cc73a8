"""PostgreSQL and Redis of the benchmark's own, as durable as they come: nothing is switched off."""

from __future__ import annotations

import contextlib
import getpass
import os
import subprocess
from collections.abc import Iterator

import psycopg
import redis

from tests.services import Service, directory, find, free_port, unprivileged


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """The URL of a Redis that keeps nothing on disk."""
    with directory(None) as home:
        port = free_port()
        url = f"redis://127.0.0.1:{port}/0"
        command = [find("redis-server") or "redis-server", "--port", str(port), "--save", "", "--appendonly", "no"]
        service = Service(url, command, home, None, lambda: redis.Redis.from_url(url).ping())
        service.start()
        try:
            yield url
        finally:
            service.stop()


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of an empty database on a PostgreSQL with its own defaults."""
    user = unprivileged()
    name = user or getpass.getuser()
    with directory(user) as home:
        data, port = home / "data", free_port()
        initdb = [find("initdb") or "initdb", "-D", str(data), "-U", name, "--auth=trust", "-E", "UTF8"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=home, user=user)
        url = f"postgres://{name}@127.0.0.1:{port}/postgres"
        command = [find("postgres") or "postgres", "-D", str(data), "-p", str(port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={home}"]
        service = Service(url, command, home, user, lambda: psycopg.connect(url).close())
        service.start()
        try:
            yield url
        finally:
            service.stop()


@contextlib.contextmanager
def process(
    command: list[str], environment: dict[str, str], log: str = os.devnull, output: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own, ended with the whole group. What it prints goes to `log`, or to `output`."""
    with open(log, "a") as file:
        started = subprocess.Popen(
            command, env=os.environ | environment, stdout=output or file, stderr=file, text=True, start_new_session=True
        )
    try:
        yield started
    finally:
        started.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, 9)
        started.wait(5)
