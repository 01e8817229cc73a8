"""Why a task has not started."""

from __future__ import annotations

import datetime as dt

import pytest

from tasks import queues, submit
from tasks.dashboard import waiting
from tasks.dashboard.waiting import reason
from tasks.database import database_now
from tasks.models import Task
from tests.factories import make_task, make_worker

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("status", ["processing", "completed", "failed", "paused"])
def test_what_does_not_wait_needs_no_reason(status):
    assert reason(make_task(status)) == ""


def test_what_waits_for_its_time_needs_none():
    assert reason(submit("test.echo", delay=60)) == ""


def test_a_paused_queue(alice):
    queues.pause("mail", alice)
    assert reason(make_task(queue="mail")).startswith("The queue mail is paused")


def test_no_worker():
    make_worker(expires_at=database_now() - dt.timedelta(seconds=1))
    make_worker(role="loop")
    assert reason(make_task()) == "No worker that could run it is online."


def test_an_unknown_handler():
    task = make_task()
    Task.objects.update(name="gone")
    task.refresh_from_db()
    assert reason(task).startswith("No handler called gone")


def test_tasks_that_are_ahead():
    make_worker()
    make_task()
    task = make_task()
    assert reason(task) == "Due tasks ahead of it: 1."
    make_task(priority=1)
    make_task(priority=-1)
    assert reason(task) == "Due tasks ahead of it: 2."


def test_more_ahead_than_are_counted(monkeypatch):
    monkeypatch.setattr(waiting, "COUNTED", 2)
    make_worker()
    *_, task = [make_task() for _ in range(4)]
    assert reason(task) == "Due tasks ahead of it: 2 or more."


def test_busy_workers():
    make_worker()
    task = make_task()
    assert reason(task) == "It is next. Workers that could run it, all busy: 1."
    idle = make_worker(pid=2, idle_since=database_now())
    assert reason(task) == ""
    type(idle).objects.update(idle_since=None)
    assert reason(task) == "It is next. Workers that could run it, all busy: 2."


def test_a_callback_is_for_the_loop():
    make_worker()
    task = make_task()
    Task.objects.update(callback_url="https://example.com/")
    task.refresh_from_db()
    assert reason(task) == "No worker that could run it is online."
