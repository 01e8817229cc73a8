"""What the fault tests share: clusters on a database of the test's own, their evidence, and the verdict."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.db import connection

import tests.chaos.app.handlers  # noqa: F401  registers them here too, for submissions
from tasks import submit
from tasks.models import Task
from tasks.states import FINISHED
from tests.chaos.checker import Verdict, check
from tests.chaos.cluster import Cluster, until
from tests.chaos.evidence import AckLog, EffectLog
from tests.chaos.proxy import Proxy
from tests.hub import Hub as Served
from tests.services import Service

FAST = {"TASKHUB_HEARTBEAT_S": 1, "TASKHUB_LEASE_S": 4}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.chaos)
            if not is_in_sample(item):
                item.add_marker(pytest.mark.full)
            if sys.platform != "linux":
                item.add_marker(pytest.mark.skip(reason="looks at processes through /proc"))


def is_in_sample(item: pytest.Item) -> bool:
    """What could run on each kind of database runs on one of them, always the same; on both it runs in the matrix."""
    kind = getattr(item, "callspec", None) and item.callspec.params.get("every_database")
    name = item.nodeid.replace(str(kind), "")
    return not kind or kind == ("sqlite", "postgresql")[zlib.crc32(name.encode()) % 2]


class Hub:
    """One database, any number of clusters on it, and the evidence of what happened."""

    def __init__(self, home: Path, url: str) -> None:
        self.home, self.url = home, url
        self.acks = AckLog(home / "acks")
        self.effects = EffectLog(home / "effects")
        self.clusters: list[Cluster] = []
        self.hubs: list[Served] = []

    def cluster(self, workers: int = 2, **environment: object) -> Cluster:
        """Not started. Each has a data directory of its own, as on a machine of its own."""
        options = FAST | {"CHAOS_EFFECTS": self.effects.path} | environment
        self.clusters.append(Cluster(self.home / f"cluster{len(self.clusters)}", self.url, workers, **options))
        return self.clusters[-1]

    def served(self, **environment: object) -> Served:
        """A hub with its web server, not started, on the same database."""
        home = self.home / f"served{len(self.hubs)}"
        home.mkdir()
        options = {
            "DATABASE_URL": self.url,
            "TASKHUB_APPS": "demo,tests.app,tests.chaos.app",
            "CHAOS_EFFECTS": self.effects.path,
            **FAST,
            **environment,
        }
        self.hubs.append(Served(home, **{name: str(value) for name, value in options.items()}))
        return self.hubs[-1]

    def submit(self, name: str = "chaos.work", n: int = 1, /, **payload: object) -> list[Task]:
        """Acknowledged tasks. Options of the submission come as `_name`."""
        options = {key[1:]: payload.pop(key) for key in list(payload) if key.startswith("_")}
        tasks = []
        for _ in range(n):
            tasks.append(submit(name, payload, **options))
            self.acks.write(tasks[-1].pk)
        return tasks

    def left(self) -> int:
        return Task.objects.exclude(status__in=FINISHED).count()

    def drained(self, seconds: float = 120) -> None:
        """Wait until every task is over."""
        until(
            lambda: not self.left(), "an empty hub", seconds, lambda: "\n".join(pool.tail() for pool in self.clusters)
        )

    def verdict(self) -> Verdict:
        return check(self.acks.read(), self.effects.read())

    def close(self) -> None:
        for hub in self.hubs:
            hub.stop()
        for cluster in self.clusters:
            cluster.kill()


@pytest.fixture
def hub(every_database: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Hub]:
    """On each kind of database."""
    yield from _hub(tmp_path)


@pytest.fixture
def postgres_hub(on_postgres: str, tmp_path: Path) -> Iterator[Hub]:
    yield from _hub(tmp_path)


@pytest.fixture
def sqlite_hub(transactional_db: None, tmp_path: Path) -> Iterator[Hub]:
    yield from _hub(tmp_path)


@pytest.fixture
def proxy(postgres: Service) -> Iterator[Proxy]:
    """In front of PostgreSQL, which the test itself reaches without it."""
    with Proxy(urlsplit(postgres.url).port or 0).running() as proxy:
        yield proxy


def through(proxy: Proxy, url: str) -> str:
    """The same database, reached through the proxy."""
    address = urlsplit(url)
    return address._replace(netloc=f"{address.username}@127.0.0.1:{proxy.port}").geturl()


def _hub(home: Path) -> Iterator[Hub]:
    hub = Hub(home, _url())
    try:
        yield hub
    finally:
        hub.close()


def _url() -> str:
    """The address of the test's present database."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{settings['NAME']}"
    return f"postgres://{settings['USER']}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"
