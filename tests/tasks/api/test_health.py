"""What the machines that watch the hub are told."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder

from tasks import lifecycle, tallies
from tasks.api import health
from tasks.changes import Outcome
from tasks.database import database_now
from tasks.models import Task
from tasks.states import Actions
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


def metrics(viewer) -> list[str]:
    return viewer.get("/metrics").content.decode().splitlines()


def test_metrics_of_what_should_be_rare(viewer):
    assert "taskhub_stale_completions_total 0.0" in metrics(viewer)
    task = make_task("processing")
    lifecycle.rescue(Task.objects.all(), charged=True)
    end_late(task)
    tallies.restarted("cluster")
    lines = metrics(viewer)
    assert 'taskhub_rescues_total{charged="true"} 1.0' in lines
    assert 'taskhub_rescues_total{charged="false"} 0.0' in lines
    assert "taskhub_stale_completions_total 1.0" in lines
    assert 'taskhub_poison_total{kind="proven"} 0.0' in lines
    assert 'taskhub_poison_total{kind="suspected"} 0.0' in lines
    assert 'taskhub_supervisor_restarts_total{child="cluster"} 1.0' in lines


def end_late(task: Task) -> None:
    lifecycle.record([Outcome(task.pk, task.present_lease, Actions.COMPLETE)], "worker")


def test_the_age_of_each_lease(viewer):
    now = database_now()
    silent = make_worker(heartbeat_at=now - dt.timedelta(seconds=40), expires_at=now - dt.timedelta(seconds=25))
    make_worker(lost_at=now)
    make_worker(stopped_at=now)
    (line,) = [line for line in metrics(viewer) if line.startswith("taskhub_worker_lease_age_seconds{")]
    assert f'worker="{silent.pk}"' in line
    assert 'role="plain"' in line
    assert float(line.split()[-1]) >= 40


def test_each_metric_is_documented(viewer):
    make_task()
    make_worker()
    tallies.restarted("web")
    found = set(re.findall(r"^# TYPE (taskhub_\w+)", "\n".join(metrics(viewer)), re.MULTILINE))
    page = (Path(__file__).parents[3] / "docs/reference/metrics.md").read_text()
    documented = set(re.findall(r"^\| `(taskhub_\w+)`", page, re.MULTILINE))
    assert {name for name in found if not name.endswith("_created")} == documented


def test_metrics_take_their_permission(submitter, anonymous):
    assert_problem(submitter.get("/metrics"), 403)
    assert_problem(anonymous.get("/metrics"), 401)
