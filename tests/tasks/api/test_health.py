"""What the machines that watch the hub are told."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder

from tasks.api import health
from tests.factories import make_task, make_worker
from tests.tasks.api.conftest import assert_problem


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Each test is a web process that has just started."""
    monkeypatch.setattr(health, "_ready", health._Once())
    monkeypatch.delenv("TASKHUB_UNDER_HUB", raising=False)


def test_alive_without_asking_anybody(client):
    response = client.get("/healthz", headers={"Authorization": "Bearer nonsense"})
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_ready(anonymous):
    make_worker()
    assert anonymous.get("/readyz").json() == {"status": "ready", "degraded": []}


def test_ready_and_degraded_without_workers(anonymous):
    response = anonymous.get("/readyz")
    assert (response.status_code, response.json()["degraded"]) == (200, ["workers"])


def test_under_a_hub_only_once_a_worker_has_registered(anonymous, monkeypatch):
    monkeypatch.setenv("TASKHUB_UNDER_HUB", "1")
    make_worker(stopped_at=dt.datetime.now(dt.UTC))
    waiting = anonymous.get("/readyz")
    assert "worker" in assert_problem(waiting, 503)["detail"]
    assert waiting["Retry-After"] == "1"
    worker = make_worker()
    assert anonymous.get("/readyz").json()["degraded"] == []
    worker.delete()
    assert anonymous.get("/readyz").json()["degraded"] == ["workers"]


def test_not_ready_before_the_migrations(anonymous):
    MigrationRecorder(connection).migration_qs.filter(app="tasks").delete()
    assert "migrate" in assert_problem(anonymous.get("/readyz"), 503)["detail"]


def test_not_ready_without_the_database(anonymous, monkeypatch):
    anonymous.get("/readyz")
    monkeypatch.setattr(health.counts, "workers_online", lambda: (_ for _ in ()).throw(OperationalError("gone")))
    assert_problem(anonymous.get("/readyz"), 503)


def test_degraded_without_redis(anonymous, settings):
    make_worker()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert anonymous.get("/readyz").json()["degraded"] == ["redis"]


@pytest.mark.redis
def test_not_degraded_with_redis(anonymous, settings, redis_server):
    make_worker()
    settings.REDIS_URL = redis_server.url
    assert anonymous.get("/readyz").json()["degraded"] == []


def test_metrics(viewer):
    make_task()
    make_task("failed", queue="reports")
    response = viewer.get("/metrics")
    assert response["Content-Type"].startswith("text/plain; version=")
    lines = response.content.decode().splitlines()
    assert 'taskhub_tasks{queue="default",status="pending"} 1.0' in lines
    assert 'taskhub_tasks{queue="reports",status="failed"} 1.0' in lines
    assert 'taskhub_queue_paused{queue="default"} 0.0' in lines
    assert "taskhub_workers_online 1.0" in lines
    assert any(line.startswith('taskhub_oldest_pending_seconds{queue="default"}') for line in lines)


def test_metrics_take_their_permission(submitter, anonymous):
    assert_problem(submitter.get("/metrics"), 403)
    assert_problem(anonymous.get("/metrics"), 401)
