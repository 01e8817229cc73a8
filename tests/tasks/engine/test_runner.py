"""One ticket, one session, one process: here in this process, without django-q2."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from django.db import connections

from tasks.database import uuid7
from tasks.engine import halt, lifeline, runner
from tasks.engine.context import TaskLogHandler
from tasks.engine.runner import Role
from tasks.models import Task, Worker
from tests.factories import make_task

R = Worker.Roles


@pytest.fixture(autouse=True)
def process(monkeypatch, settings, tmp_path):
    """What `run` would do to this process, noted instead of done."""
    settings.DATA = tmp_path
    noted = SimpleNamespace(retired=0, watched=0)
    monkeypatch.setattr(runner, "retire", lambda: vars(noted).update(retired=noted.retired + 1))
    monkeypatch.setattr(lifeline, "watch", lambda: vars(noted).update(watched=1))
    before = signal.getsignal(signal.SIGTERM)
    ages = {alias: connections.settings[alias]["CONN_MAX_AGE"] for alias in connections}
    yield noted
    signal.signal(signal.SIGTERM, before)
    for alias, age in ages.items():
        connections.settings[alias]["CONN_MAX_AGE"] = age
    for handler in list(runner.logging.getLogger().handlers):
        if isinstance(handler, TaskLogHandler):
            runner.logging.getLogger().removeHandler(handler)


@pytest.fixture
def over(monkeypatch):
    """Say that the pool is to stop: from the n-th time that somebody asks."""

    def say(after: int = 0) -> None:
        asked = []
        monkeypatch.setattr(halt, "is_said", lambda: asked.append(1) or len(asked) > after)

    return say


@pytest.mark.django_db(transaction=True)
def test_a_session_is_registered_works_and_ends(process, over):
    task = make_task()
    over(after=40)
    with Role() as role:
        role.name = R.PLAIN
        runner.work(uuid7(), role)
    worker = Worker.objects.get()
    assert (worker.role, worker.pid, worker.lost_at) == ("plain", os.getpid(), None)
    assert worker.stopped_at
    assert Task.objects.get(pk=task.pk).status == "completed"


@pytest.mark.django_db(transaction=True)
def test_the_other_kind_of_worker_too(process, over):
    task = make_task(name="test.async")
    over(after=40)
    with Role() as role:
        assert role.name == R.LOOP
        runner.work(uuid7(), role)
    assert Task.objects.get(pk=task.pk).status == "completed"
    assert Worker.objects.get().stopped_at


@pytest.mark.django_db(transaction=True)
def test_sigterm_ends_a_session_after_what_it_is_doing(process, monkeypatch):
    class Terminated:
        def __init__(self, session, *_):
            self._session = session

        def run(self):
            signal.raise_signal(signal.SIGTERM)
            assert self._session.ending

    monkeypatch.setattr(runner, "PlainWorker", Terminated)
    with Role() as role:
        role.name = R.PLAIN
        runner.work(uuid7(), role)


def test_a_fresh_process_is_made_fit_and_retired_afterwards(process, monkeypatch):
    worked = []
    monkeypatch.setattr(runner, "work", lambda id, role: worked.append((id, role.name)))
    runner.run()
    runner.run()
    assert (process.watched, process.retired) == (1, 2)
    assert [role for _, role in worked] == [R.LOOP, R.LOOP]
    assert worked[0][0] != worked[1][0]
    assert all(connections.settings[alias]["CONN_MAX_AGE"] is None for alias in connections)


def test_whatever_goes_wrong_is_logged_and_the_process_replaced(process, monkeypatch, caplog):
    def work(id, role):
        raise SystemExit("broken")

    monkeypatch.setattr(runner, "work", work)
    runner.run()
    assert process.retired == 1
    assert "A worker ended." in caplog.text


def test_while_the_pool_stops_no_session_begins_and_the_process_stays(process, monkeypatch, over):
    """It goes on taking the tickets that would block the pool's queue."""
    over()
    monkeypatch.setattr(runner, "work", lambda id, role: pytest.fail("a session began"))
    runner.run()
    assert process.retired == 0


def test_one_process_of_a_machine_runs_the_loop_until_it_gives_way():
    with Role() as first, Role() as second:
        assert (first.name, second.name) == (R.LOOP, R.PLAIN)
        first.give_up()
        first.give_up()
        with Role() as third:
            assert third.name == R.LOOP


def test_a_dead_process_keeps_nobody_from_the_loop(settings):
    holder = "import fcntl, os, sys; fcntl.flock(open(sys.argv[1], 'w'), fcntl.LOCK_EX); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", holder, settings.DATA / "loop.lock"])
    with Role() as role:
        assert role.name == R.LOOP
