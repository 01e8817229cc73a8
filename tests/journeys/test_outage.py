"""The database goes away under a running hub, and comes back. Nothing of the hub ends for it, and it can be stopped."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.hub import Hub
from tests.processes import alive, marked, until
from tests.services import Service

pytestmark = [pytest.mark.processes, pytest.mark.postgres]


@pytest.fixture
def hub(postgres: Service, tmp_path: Path) -> Iterator[Hub]:
    name = f"outage_{os.urandom(4).hex()}"
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    hub = Hub(
        tmp_path,
        DATABASE_URL=postgres.url.rpartition("/")[0] + f"/{name}",
        TASKHUB_SHUTDOWN_GRACE_S="2",
        TASKHUB_HEARTBEAT_S="1",
        TASKHUB_LEASE_S="5",
    )
    hub.start()
    yield hub
    hub.stop()
    assert not processes(hub)


@contextlib.contextmanager
def outage(postgres: Service) -> Iterator[None]:
    postgres.stop()
    try:
        yield
    finally:
        postgres.start()


def processes(hub: Hub) -> dict[int, str]:
    return marked(f"TASKHUB_DATA={hub.environment['TASKHUB_DATA']}")


def test_work_goes_on_when_the_database_is_back(hub, postgres):
    running = hub.submit(name="test.sleep", payload={"seconds": 1})["id"]
    hub.reaches(running, "processing")
    leaders = {pid for pid in processes(hub) if os.getpgid(pid) == pid}
    with outage(postgres):
        until(lambda: "The database does not answer" in hub.log.read_text(), "a word about the outage")
        assert hub.request("GET", "/healthz")[0] == 200
        assert hub.request("GET", "/api/v1/tasks")[0] == 503
    until(lambda: hub.request("GET", "/readyz")[0] == 200, "a hub that is ready")
    hub.reaches(running, "completed")
    hub.reaches(hub.submit(name="test.echo")["id"], "completed")
    assert alive(*leaders) == leaders


def test_it_stops_without_its_database(hub, postgres):
    hub.reaches(hub.submit(name="test.sleep", payload={"seconds": 600})["id"], "processing")
    with outage(postgres):
        hub.stop()
        assert hub.process.returncode == 0
        assert not processes(hub)


def test_it_starts_before_its_database(hub, postgres):
    hub.stop()
    hub.log.unlink()
    with outage(postgres), pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "manage", lambda *command: hub.token)  # there is no database to make a token in
        patch.setattr(hub, "_is_ready", lambda: "the supervisor waits" in hub.log.read_text())
        hub.start()
        assert hub.request("GET", "/healthz")[0] == 200
        assert not any("qcluster" in command for command in processes(hub).values())
    until(lambda: hub.request("GET", "/readyz")[0] == 200, "a hub that is ready")
    hub.reaches(hub.submit(name="test.echo")["id"], "completed")
