"""When an attempt is ended, and by what. The process that would be killed is this one, so `os.kill` is watched."""

from __future__ import annotations

import os
import signal
import time
from types import SimpleNamespace

import pytest

from tasks import lifecycle
from tasks.engine import watchdog as module
from tasks.engine.desk import Desk
from tasks.engine.watchdog import AGAIN, HARD, LAST, SILENT, TICK, Watchdog
from tasks.models import Attempt, Task
from tests.factories import make_task, make_worker
from tests.processes import until

pytestmark = pytest.mark.django_db
TIMEOUT = 10.0


class Killed(BaseException):
    """Stands for the end of this process."""


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=time.monotonic())
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    return clock


@pytest.fixture
def fuse(monkeypatch):
    """The moments that are held, as the clock of the tests sees them."""
    moments: dict[object, float] = {}
    fake = SimpleNamespace(
        hold=moments.__setitem__, release=lambda key: moments.pop(key, None), trim=lambda: None, moments=moments
    )
    monkeypatch.setattr(module, "Fuse", lambda: fake)
    return fake


@pytest.fixture(autouse=True)
def kill(monkeypatch):
    def kill(pid: int, number: int) -> None:
        assert (pid, number) == (os.getpid(), signal.SIGKILL)
        raise Killed

    monkeypatch.setattr(os, "kill", kill)


@pytest.fixture
def session(clock):
    return SimpleNamespace(worker=make_worker(), grace_ends=None)


@pytest.fixture
def desk(session):
    return Desk(session.worker)


@pytest.fixture
def pulse():
    return SimpleNamespace(steps=0, is_alive=lambda: True)


@pytest.fixture
def watchdog(session, desk, pulse, fuse):
    return Watchdog(session, desk, pulse)


@pytest.fixture
def start(session, desk):
    """Attempts that run. What each was told lies in `told`."""

    def start(n: int = 1, **options):
        for _ in range(n):
            make_task(timeout=TIMEOUT, **options)
        desk.exchange(lambda: lifecycle.claim(Task.objects.ready(), session.worker))
        found = [desk.start() for _ in range(n)]
        for running in found:
            told: list[str] = []
            running.force = told.append
            running.context.told = told
        return found if n > 1 else found[0]

    return start


def look_at(watchdog, clock, seconds: float) -> None:
    """Look as often as the thread would in so many seconds."""
    for _ in range(round(seconds / TICK)):
        clock.now += TICK
        watchdog._pulse.steps += 1
        watchdog.look()


def test_an_attempt_in_time_is_left_alone(watchdog, clock, start):
    running = start()
    with watchdog.guard(running):
        look_at(watchdog, clock, TIMEOUT - 1)
    assert running.context.told == []


def test_only_code_that_runs_is_watched(watchdog, clock, start):
    """An outcome that waits for the database must not be taken for a handler that does not end."""
    running = start()
    with watchdog.guard(running):
        pass
    look_at(watchdog, clock, TIMEOUT + HARD + LAST + 60)
    assert running.context.told == []
    assert watchdog._fuse.moments == {}


def test_at_the_deadline_it_is_told_again_and_again(watchdog, clock, start):
    running = start()
    with watchdog.guard(running):
        look_at(watchdog, clock, TIMEOUT + 2 * AGAIN + TICK)
    assert running.context.told == ["deadline"] * 3


@pytest.mark.parametrize(
    ("change", "reason"), [({"canceled_at": 0.0}, "cancel"), ({"grace_ends": 0.0}, "shutdown"), ({}, "deadline")]
)
def test_there_are_three_reasons_and_the_first_to_come_counts(
    watchdog, clock, start, session, settings, change, reason
):
    settings.TASKHUB_CANCEL_GRACE_S = 2
    running = start()
    if "canceled_at" in change:
        running.canceled_at = clock.now
    if "grace_ends" in change:
        session.grace_ends = clock.now + 2
    with watchdog.guard(running):
        look_at(watchdog, clock, (TIMEOUT if reason == "deadline" else 2) - TICK)
        assert running.context.told == []
        look_at(watchdog, clock, 2 * TICK)
    assert running.context.told == [reason]


def test_what_no_exception_ends_takes_its_process_with_it_and_is_written_before(watchdog, clock, start):
    running = start(max_attempts=1)
    with watchdog.guard(running), pytest.raises(Killed):
        look_at(watchdog, clock, TIMEOUT + HARD + 2 * TICK)
    task = Task.objects.get()
    assert (task.status, task.error["type"]) == ("dead_lettered", "DeadlineExceeded")


def test_a_shutdown_that_takes_the_process_gives_the_attempt_back(watchdog, clock, start, session):
    running = start()
    session.grace_ends = clock.now
    with watchdog.guard(running), pytest.raises(Killed):
        look_at(watchdog, clock, HARD + 2 * TICK)
    assert (Task.objects.get().status, Task.objects.get().attempt) == ("pending", 0)


def test_a_cancel_that_takes_the_process_cancels(watchdog, clock, start, settings):
    running = start()
    lifecycle.cancel(running.task.pk, "alice")
    running.canceled_at = clock.now
    with watchdog.guard(running), pytest.raises(Killed):
        look_at(watchdog, clock, settings.TASKHUB_CANCEL_GRACE_S + HARD + 2 * TICK)
    assert Task.objects.get().status == "canceled"


def test_in_company_nobody_can_tell_whose_fault_it_is(watchdog, clock, start):
    """One of them holds the event loop; the rescue gives all of them back."""
    first, second = start(2)
    with watchdog.guard(first), watchdog.guard(second), pytest.raises(Killed):
        look_at(watchdog, clock, TIMEOUT + HARD + 2 * TICK)
    assert set(Task.objects.values_list("status", flat=True)) == {"processing"}
    assert not Attempt.objects.exists()


def test_the_process_ends_even_if_the_last_words_cannot_be_written(watchdog, clock, start, desk, monkeypatch):
    def away():
        raise ZeroDivisionError

    running = start()
    monkeypatch.setattr(desk, "record", away)
    with watchdog.guard(running), pytest.raises(Killed):
        look_at(watchdog, clock, TIMEOUT + HARD + 2 * TICK)
    assert watchdog._fuse.moments["last words"] == clock.now + HARD


def test_a_process_that_was_frozen_over_the_deadline_still_asks_first(watchdog, clock, start):
    running = start()
    with watchdog.guard(running):
        clock.now += 10 * TIMEOUT
        watchdog.look()
        assert running.context.told == ["deadline"]
        assert watchdog._fuse.moments[running] == clock.now + HARD + LAST


def test_the_fuse_burns_before_a_line_of_the_handlers_has_run(watchdog, start, fuse):
    running = start()
    with watchdog.guard(running):
        assert fuse.moments == {running: running.began + TIMEOUT + HARD + LAST}
    assert fuse.moments == {}


def test_the_fuse_follows_an_earlier_end(watchdog, clock, start, session, fuse):
    running = start()
    with watchdog.guard(running):
        session.grace_ends = clock.now + 1
        watchdog.look()
        assert fuse.moments[running] == session.grace_ends + HARD + LAST


def test_a_database_that_neither_answers_nor_refuses_ends_the_process(watchdog, clock, pulse):
    def look(seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            watchdog.look()

    look(SILENT - 1)
    pulse.steps += 1
    look(SILENT - 1)
    with pytest.raises(Killed):
        look(2)


def test_a_pulse_that_has_finished_is_not_missed(watchdog, pulse):
    pulse.is_alive = lambda: False
    for _ in range(round(2 * SILENT / TICK)):
        watchdog.look()


def test_the_thread_looks_until_it_is_finished(watchdog, monkeypatch):
    looks = []
    monkeypatch.setattr(module, "TICK", 0.001)
    monkeypatch.setattr(watchdog, "look", lambda: looks.append(1) or 1 / 0)
    watchdog.start()
    until(lambda: len(looks) > 2, "some looks, though each goes wrong")
    watchdog.finish()
    assert not watchdog.is_alive()
