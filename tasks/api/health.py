"""`/healthz`, `/readyz` and `/metrics`, at the root: for the machines that watch the hub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Literal, TypedDict

import redis
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from rest_framework.request import Request
from rest_framework.response import Response

from tasks import counts, tallies
from tasks.api.endpoint import Endpoint
from tasks.api.permissions import OPEN
from tasks.api.problems import CONTENT_TYPE, problem
from tasks.api.schema import operation
from tasks.database import database_now
from tasks.models import Worker

PATIENCE_S = 1


class Alive(TypedDict):
    """The process answers."""

    status: Literal["ok"]


class Ready(TypedDict):
    """Requests can be served. `degraded` names what is lost and only slows things down: `redis`, `workers`."""

    status: Literal["ready"]
    degraded: list[Literal["redis", "workers"]]


class Healthz(Endpoint):
    """Asks nothing of anybody: a hub whose database is away should not be restarted for it."""

    authentication_classes = ()
    needs = {"GET": OPEN}

    @operation("Is the process alive?", {200: Alive}, tag="health", is_open=True, id="healthz")
    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


class Readyz(Endpoint):
    authentication_classes = ()
    needs = {"GET": OPEN}

    @operation("Can it serve requests?", {200: Ready}, tag="health", is_open=True, errors=(503,), id="readyz")
    def get(self, request: Request) -> Response:
        if not _ready.is_migrated():
            return _not_ready("The database is not migrated. Run `manage.py migrate`.")
        workers = counts.workers_online()
        if not _ready.has_started(workers):
            return _not_ready("No worker has registered yet.")
        lost = {"redis": not _has_redis(), "workers": not workers}
        return Response({"status": "ready", "degraded": [name for name, is_lost in lost.items() if is_lost]})


def _not_ready(why: str) -> Response:
    response = Response(problem(503, why), status=503, headers={"Retry-After": "1"}, content_type=CONTENT_TYPE)
    response._has_been_logged = True  # type: ignore[attr-defined]  # whoever asks is told; Django would log an error at each question
    return response


class _Once:
    """What stays true in this process once it was: then nobody needs to look again."""

    def __init__(self) -> None:
        self._migrated = False
        self._started = False

    def is_migrated(self) -> bool:
        if not self._migrated:
            executor = MigrationExecutor(connection)
            self._migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
        return self._migrated

    def has_started(self, workers: int) -> bool:
        """Under a hub, whether its first worker has registered; by itself a web process waits for none."""
        self._started = self._started or workers > 0 or os.environ.get("TASKHUB_UNDER_HUB") != "1"
        return self._started


_ready = _Once()


def _has_redis() -> bool:
    """True also when there is none to be had."""
    if not settings.REDIS_URL:
        return True
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S, retry=None
        ) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


# -- metrics -------------------------------------------------------------------------------------------------------


class Metrics(Endpoint):
    needs = {"GET": "view_metrics"}

    @operation("Prometheus metrics", {200: "text/plain"}, tag="health", id="metrics")
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(generate_latest(REGISTRY) + generate_latest(_hub), content_type=CONTENT_TYPE_LATEST)


class HubCollector(Collector):
    """The state of the hub, read from the database when it is asked for: every web process says the same."""

    def collect(self) -> Iterator[Metric]:
        tasks = GaugeMetricFamily("taskhub_tasks", "Tasks by queue and status.", labels=["queue", "status"])
        for (queue, status), n in sorted(counts.totals().items()):
            tasks.add_metric([queue, status], n)
        yield tasks
        wait = GaugeMetricFamily(
            "taskhub_oldest_pending_seconds", "How long the task that is due longest has waited.", labels=["queue"]
        )
        paused = GaugeMetricFamily("taskhub_queue_paused", "1 while the queue is paused.", labels=["queue"])
        for row in counts.queues():
            wait.add_metric([row["name"]], row["oldest_pending_s"] or 0)
            paused.add_metric([row["name"]], row["paused"])
        yield wait
        yield paused
        workers = counts.workers_online()
        yield GaugeMetricFamily("taskhub_workers_online", "Workers that hold their lease.", value=workers)
        yield _lease_ages()
        yield from _tallied()

    def describe(self) -> list[Metric]:
        """Nothing beforehand: registering must not ask the database."""
        return []


def _lease_ages() -> Metric:
    ages = GaugeMetricFamily(
        "taskhub_worker_lease_age_seconds",
        "How long ago a worker that has neither ended nor been given up renewed its lease.",
        labels=["worker", "host", "pid", "role"],
    )
    now = database_now()
    for worker in Worker.objects.filter(stopped_at=None, lost_at=None):
        age = max(0.0, (now - worker.heartbeat_at).total_seconds())
        ages.add_metric([str(worker.pk), worker.host, str(worker.pid), worker.role], age)
    return ages


def _tallied() -> Iterator[Metric]:
    happened = tallies.totals()
    yield CounterMetricFamily(
        "taskhub_stale_completions", "Ends reported after the lease was lost: kept, not applied.",
        value=happened[tallies.STALE],
    )  # fmt: skip
    rescues = CounterMetricFamily("taskhub_rescues", "Tasks taken from workers that are lost.", labels=["charged"])
    rescues.add_metric(["true"], happened[tallies.CHARGED])
    rescues.add_metric(["false"], happened[tallies.UNCHARGED])
    yield rescues
    poison = CounterMetricFamily("taskhub_poison", "Tasks dead-lettered as poison.", labels=["kind"])
    poison.add_metric(["proven"], happened[tallies.POISON["Poison"]])
    poison.add_metric(["suspected"], happened[tallies.POISON["suspected_poison"]])
    yield poison
    restarts = CounterMetricFamily(
        "taskhub_supervisor_restarts", "Children that a supervisor has started again.", labels=["child"]
    )
    for name, n in sorted(happened.items()):
        if name.startswith(tallies.RESTARTS):
            restarts.add_metric([name.removeprefix(tallies.RESTARTS)], n)
    yield restarts


_hub = CollectorRegistry()
_hub.register(HubCollector())
