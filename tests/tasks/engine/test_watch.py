"""The supervisor's eye on the database, and what it does when there is nothing to see."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from django.core.management import CommandError
from django.db import OperationalError, ProgrammingError

from tasks import tallies
from tasks.engine import session
from tasks.engine import watch as watching
from tasks.engine.watch import Closing, Watch, release_the_dead
from tasks.models import Task
from tests.factories import claim, make_task, make_worker
from tests.processes import PATIENCE, until


class Subject:
    each = 0.01

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.seen: list[str] = []

    def look(self) -> None:
        self.seen.append("look")
        if self.errors:
            raise self.errors.pop()

    def begin(self) -> None:
        self.seen.append("begin")


def make_watch() -> Watch:
    return Watch(lambda: True)


def local_worker(pid: int):
    return make_worker(pid=pid, host=socket.gethostname()[:255], machine=session.machine())


@pytest.fixture
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(PATIENCE)
    return process.pid


def test_it_tries_to_bring_the_database_into_order_until_it_is(monkeypatch, caplog):
    monkeypatch.setattr(watching, "IDLE", 0.0)
    answers = [OperationalError("not yet"), False, True]

    def prepare() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    watch = Watch(prepare)
    watch._get_ready()
    assert (watch.is_ready, watch.failure, answers) == (True, None, [])
    assert "not yet" in caplog.text


@pytest.mark.parametrize("error", [CommandError("a system check"), ProgrammingError("a migration"), SystemExit(1)])
def test_what_no_patience_can_mend_ends_it(error):
    def prepare() -> bool:
        raise error

    watch = Watch(prepare)
    watch.run()
    assert (watch.is_ready, watch.failure) == (False, error)


@pytest.mark.django_db
def test_an_outage_is_said_once_and_then_everything_is_looked_at_afresh(caplog):
    watch, subject = make_watch(), Subject(OperationalError("gone"), OperationalError("gone"))
    for _ in range(3):
        watch._look_at(subject)
    assert subject.seen == ["look", "begin", "look", "begin", "look"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    subject.errors.append(OperationalError("again"))
    watch._look_at(subject)
    assert len(caplog.records) == 2


def test_an_error_of_its_own_does_not_end_it(caplog):
    watch, subject = make_watch(), Subject(ZeroDivisionError())
    watch._look_at(subject)
    watch._look_at(subject)
    assert subject.seen == ["look", "look"]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.django_db
def test_a_cluster_is_quiet_once_the_sessions_have_ended_that_it_had(monkeypatch):
    worker = local_worker(os.getpid())
    closing = Closing(os.getpgid(0))
    closing.look()
    assert not closing.is_quiet
    monkeypatch.setattr("tasks.engine.progress.belongs_to", lambda group, pid: True)
    local_worker(pid=2)  # begins after that look: it was told to stop before it could claim anything
    closing.look()
    assert not closing.is_quiet
    worker.__class__.objects.filter(pk=worker.pk).update(stopped_at=worker.started_at)
    closing.look()
    assert closing.is_quiet


@pytest.mark.django_db
def test_what_the_dead_held_is_given_back_and_no_attempt_is_used(dead_pid):
    held_by_dead = claim(make_task(), local_worker(dead_pid))
    held_by_living = claim(make_task(), local_worker(os.getpid()))
    held_elsewhere = claim(make_task(), make_worker(pid=dead_pid, host="elsewhere", machine="another"))
    release_the_dead()
    assert [
        (task.status, task.attempt)
        for task in (Task.objects.get(pk=task.pk) for task in (held_by_dead, held_by_living, held_elsewhere))
    ] == [("pending", 0), ("processing", 1), ("processing", 1)]


@pytest.mark.django_db
def test_giving_back_is_announced_and_comes_before_the_next_look(dead_pid):
    task, subject = claim(make_task(), local_worker(dead_pid)), Subject()
    watch = make_watch()
    done = watch.give_back()
    assert not done.is_set()
    watch._look_at(subject)
    assert done.is_set()
    assert Task.objects.get(pk=task.pk).status == "pending"
    assert subject.seen == ["look"]


@pytest.mark.django_db(transaction=True)
def test_as_a_thread_it_looks_again_and_again():
    watch, subject = make_watch(), Subject()
    watch.turn_to(subject)
    watch.start()
    until(lambda: len(subject.seen) > 3, "several looks")
    watch.turn_to(None)


@pytest.mark.django_db(transaction=True)
def test_restarts_are_written_down_once_the_database_answers(monkeypatch):
    away, write = [OperationalError("away")], tallies.restarted

    def restarted(child: str) -> None:
        if away:
            raise away.pop()
        write(child)

    monkeypatch.setattr(tallies, "restarted", restarted)
    watch = make_watch()
    watch.note_restart("web")
    watch.note_restart("web")
    watch._look_at(None)
    assert tallies.totals() == {}
    watch._look_at(None)
    watch._look_at(None)
    assert tallies.totals() == {"restarts.web": 2}
