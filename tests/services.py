"""PostgreSQL and Redis for tests: servers of their own, on free ports, gone with the tests.

`postgres` and `redis_server` are session fixtures; `on_postgres` runs one test on an empty PostgreSQL database, and
`every_database` runs it on each kind. A missing server skips the test and says why; with TASKHUB_REQUIRE_SERVICES=1
it fails.
"""

from __future__ import annotations

import contextlib
import functools
import getpass
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dj_database_url
import psycopg
import pytest
import redis
from django.core.management import call_command
from django.db import ConnectionHandler, connections

from tasks import hints

PATIENCE_S = 20


class Service:
    """A server process on a port of its own, that can be stopped and started again under a test's feet."""

    def __init__(
        self, url: str, command: list[str], home: Path, user: str | None, answers: Callable[[], object]
    ) -> None:
        self.url = url
        self._command, self._home, self._user, self._answers = command, home, user, answers
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, cwd=self._home, user=self._user, start_new_session=True
            )
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._answers()
                return
            except Exception:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError((self._home / "log").read_text()) from None
                time.sleep(0.05)

    def stop(self) -> None:
        """At once, as in an outage: clients are cut off."""
        if self._process is not None:
            self._process.terminate() if "redis" in self.url else self._process.send_signal(2)
            self._process.wait(PATIENCE_S)


def missing(what: str) -> None:
    """Skip the test for want of a service, or fail it where services are required."""
    reason = f"{what} is not installed"
    if os.environ.get("TASKHUB_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def find(program: str) -> str | None:
    """PostgreSQL's programs are often not in the path."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=lambda path: float(path.parts[4]))
    return shutil.which(program) or (str(installed[-1]) if installed else None)


@contextlib.contextmanager
def directory(user: str | None) -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="taskhub-service-"))
    try:
        if user:
            shutil.chown(home, user)
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def unprivileged() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Service]:
    """A PostgreSQL server; the database of its URL is empty at first."""
    initdb, server = find("initdb"), find("postgres")
    if not initdb or not server:
        missing("PostgreSQL")
        return
    user = unprivileged()
    name = user or getpass.getuser()
    with directory(user) as home:
        data = home / "data"
        subprocess.run(
            [initdb, "-D", data, "-U", name, "--auth=trust", "--no-sync", "-E", "UTF8"],
            check=True, capture_output=True, cwd=home, user=user,
        )  # fmt: skip
        port = free_port()
        options = {"fsync": "off", "listen_addresses": "127.0.0.1", "unix_socket_directories": str(home)}
        settings = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        url = f"postgres://{name}@127.0.0.1:{port}/postgres"
        command = [server, "-D", str(data), "-p", str(port), *settings]
        service = Service(url, command, home, user, lambda: psycopg.connect(url).close())
        service.start()
        yield service
        service.stop()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Service]:
    """A Redis server without persistence."""
    program = find("redis-server") or find("valkey-server")
    if not program:
        missing("Redis")
        return
    with directory(None) as home:
        port = free_port()
        url = f"redis://127.0.0.1:{port}/0"
        service = Service(
            url, [program, "--port", str(port), "--save", "", "--appendonly", "no"], home, None,
            lambda: redis.Redis.from_url(url).ping(),
        )  # fmt: skip
        service.start()
        yield service
        service.stop()


@pytest.fixture
def on_postgres(postgres: Service, django_db_blocker) -> Iterator[str]:
    """The test runs on a new PostgreSQL database, in every thread. Yields its URL."""
    with django_db_blocker.unblock(), database_for(postgres.url) as url, using(url):
        yield url


@pytest.fixture(
    params=[
        pytest.param("sqlite", marks=pytest.mark.django_db(transaction=True)),  # asked for in here, it has no effect
        pytest.param("postgresql", marks=pytest.mark.postgres),
    ]
)
def every_database(request: pytest.FixtureRequest) -> str:
    """The test runs once on each kind of database, with real transactions. Gives the kind."""
    if request.param == "postgresql":
        request.getfixturevalue("on_postgres")
    return request.param


@contextlib.contextmanager
def database_for(server: str) -> Iterator[str]:
    """A database made from a migrated template, dropped afterwards."""
    name = f"test_{os.urandom(4).hex()}"
    template = _template(server)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield server.rpartition("/")[0] + f"/{name}"
    finally:
        with psycopg.connect(server, autocommit=True) as admin:  # the server may have been away meanwhile
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@functools.cache
def _template(server: str) -> str:
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("CREATE DATABASE migrated")
    with using(server.rpartition("/")[0] + "/migrated"):
        call_command("migrate", verbosity=0)
    return "migrated"


@contextlib.contextmanager
def using(url: str) -> Iterator[None]:
    """Django's default database is another one for a while, in threads that start now too."""
    previous, connection = connections.settings["default"], connections["default"]
    connections.settings["default"] = ConnectionHandler({"default": dj_database_url.parse(url)}).settings["default"]
    connections["default"] = connections.create_connection("default")
    hints._backend.cache_clear()
    try:
        yield
    finally:
        connections["default"].close()
        connections.settings["default"], connections["default"] = previous, connection
        hints._backend.cache_clear()
