"""What the fault tests share: clusters on a database of the test's own, their evidence, and the verdict."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

import tests.chaos.app.handlers  # noqa: F401  registers them here too, for submissions
from tasks import submit
from tasks.models import Task
from tasks.states import FINISHED
from tests.chaos.checker import Verdict, check
from tests.chaos.cluster import Cluster, until
from tests.chaos.evidence import AckLog, EffectLog

FAST = {"TASKHUB_HEARTBEAT_S": 1, "TASKHUB_LEASE_S": 4}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.chaos)
            if sys.platform != "linux":
                item.add_marker(pytest.mark.skip(reason="looks at processes through /proc"))


class Hub:
    """One database, any number of clusters on it, and the evidence of what happened."""

    def __init__(self, home: Path, url: str) -> None:
        self.home, self.url = home, url
        self.acks = AckLog(home / "acks")
        self.effects = EffectLog(home / "effects")
        self.clusters: list[Cluster] = []

    def cluster(self, workers: int = 2, **environment: object) -> Cluster:
        """Not started. Each has a data directory of its own, as on a machine of its own."""
        options = FAST | {"CHAOS_EFFECTS": self.effects.path} | environment
        self.clusters.append(Cluster(self.home / f"cluster{len(self.clusters)}", self.url, workers, **options))
        return self.clusters[-1]

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
        until(lambda: not self.left(), "an empty hub", seconds)

    def verdict(self) -> Verdict:
        return check(self.acks.read(), self.effects.read())

    def close(self) -> None:
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
