"""The counts are exact, through every verb and every fold."""

from __future__ import annotations

import datetime as dt

import pytest

from tasks import counts, lifecycle
from tasks.models import Queue, QueueCount, Task
from tasks.states import States
from tests.factories import make_task, make_worker

pytestmark = pytest.mark.django_db


def test_an_empty_hub():
    body = counts.queue_status()
    assert body.pop("timestamp").endswith("Z")
    assert body == {
        "total_tasks": 0,
        "active_tasks": 0,
        "pending_tasks": 0,
        "workers_online": 0,
        "by_status": dict.fromkeys(States.values, 0),
        "queues": [],
    }


def test_every_status_is_counted_by_queue():
    for status in States.values:
        make_task(status, queue="a")
    make_task(queue="b")
    body = counts.queue_status()
    assert body["total_tasks"] == Task.objects.count() == 8
    assert (body["active_tasks"], body["pending_tasks"]) == (1, 2)
    assert body["by_status"] == dict.fromkeys(States.values, 1) | {"pending": 2}
    a, b = body["queues"]
    assert {key: a[key] for key in ("name", "pending", "active", "failed", "dead_lettered", "paused")} == {
        "name": "a", "pending": 1, "active": 1, "failed": 1, "dead_lettered": 1, "paused": False,
    }  # fmt: skip
    assert (b["name"], b["pending"], b["active"]) == ("b", 1, 0)


def test_folding_changes_no_number_and_rests_when_there_is_nothing_to_fold(django_assert_num_queries):
    for status in States.values:
        make_task(status)
    before, rows = counts.totals(), QueueCount.objects.count()
    removed = counts.fold()
    assert counts.totals() == before
    assert rows - removed == QueueCount.objects.count() == len(States)
    with django_assert_num_queries(2):  # a look at each kind of counts
        assert counts.fold() == 0


def test_what_went_back_to_zero_leaves_no_row():
    lifecycle.cancel(make_task().pk, "alice")
    counts.fold()
    assert list(QueueCount.objects.values_list("status", "n")) == [("canceled", 1)]


def test_the_oldest_wait_is_that_of_a_task_that_is_due():
    make_task(delay=3600)
    assert counts.queue("default")["oldest_pending_s"] is None
    make_task()
    long_due = make_task()
    Task.objects.filter(pk=long_due.pk).update(run_at=dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5))
    assert counts.queue("default")["oldest_pending_s"] == pytest.approx(300, abs=30)


def test_a_paused_queue_is_listed_even_when_it_is_empty():
    Queue.objects.create(name="night", paused_at=dt.datetime.now(dt.UTC))
    (night,) = counts.queues()
    assert (night["name"], night["paused"], night["pending"]) == ("night", True, 0)
    assert counts.queue("night") == night


def test_only_live_workers_are_online():
    now = dt.datetime.now(dt.UTC)
    make_worker()
    make_worker(stopped_at=now)
    make_worker(lost_at=now)
    make_worker(expires_at=now - dt.timedelta(seconds=1))
    assert counts.workers_online() == 1
