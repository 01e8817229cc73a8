"""The worker for `def` handlers, in this thread and without processes."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from tasks import lifecycle, registry
from tasks.engine import claim, plain
from tasks.engine.desk import Desk
from tasks.engine.plain import PlainWorker
from tasks.models import Task
from tests.factories import make_task
from tests.tasks.engine.fake_session import FakePulse, FakeSession, FakeWatchdog

pytestmark = pytest.mark.django_db(transaction=True)


def nothing_waits() -> bool:
    return not Task.objects.filter(status__in=["pending", "processing"]).exists()


@pytest.fixture
def session():
    return FakeSession(until=nothing_waits)


@pytest.fixture
def worker(session):
    return PlainWorker(session, Desk(session.worker), FakePulse(), FakeWatchdog())


@pytest.fixture
def handler(monkeypatch):
    """Register a function under a name, for one test."""
    monkeypatch.setattr(registry, "_handlers", dict(registry._handlers))

    def add(name, function, **options):
        registry._handlers.pop(name, None)
        registry.handler(name, **options)(function)

    return add


def quick(worker, *names: str) -> None:
    for name in names:
        worker._pace.note(name, 0.0001)


def test_it_runs_what_is_there_and_stops_when_it_is_told(worker):
    tasks = [make_task(payload={"value": str(n)}) for n in range(5)]
    worker.run()
    assert [Task.objects.get(pk=task.pk).result for task in tasks] == [{"value": str(n)} for n in range(5)]


def test_what_runs_is_watched_and_can_be_ended(worker):
    task = make_task()
    worker.run()
    (running,) = worker._watchdog.guarded
    assert running.task.pk == task.pk
    running.force("shutdown")
    assert running.context.forced


def test_the_urgent_comes_first_each_time_it_claims(worker, handler):
    ran = []
    handler("a", lambda ctx: ran.append("a") or make_task(name="urgent", priority=100))
    handler("b", lambda ctx: ran.append("b"))
    handler("urgent", lambda ctx: ran.append("urgent"))
    make_task(name="a", priority=1), make_task(name="b")
    worker.run()
    assert ran == ["a", "urgent", "b"]


def test_quick_tasks_are_claimed_together_and_the_pulse_is_told(worker):
    for _ in range(30):
        make_task()
    quick(worker, "test.echo")
    worker._turn()
    assert worker._pulse.hurries == 1
    worker._turn()
    assert Task.objects.filter(status="completed").count() == 30


@pytest.mark.parametrize("how", [{"told": True}, {"is_safe": False}, {"is_lost": True}])
def test_nothing_is_started_after_the_word_or_without_a_lease(worker, session, handler, how):
    ran = []
    handler("first", lambda ctx: ran.append("first") or vars(session).update(how))
    handler("second", lambda ctx: ran.append("second"))
    make_task(name="first", priority=1), make_task(name="second")
    quick(worker, "first", "second")
    worker._turn()
    assert ran == ["first"]
    worker._desk.record()
    assert Task.objects.get(name="second").status == "pending"


def test_without_a_safe_lease_nothing_is_claimed(worker, session):
    make_task()
    session.is_safe = False
    assert not worker._turn()
    assert Task.objects.get().status == "pending"


def test_at_the_end_nothing_is_left_in_hand(worker, session, handler):
    handler("first", lambda ctx: vars(session).update(told=True))
    make_task(name="first", priority=1), make_task()
    quick(worker, "first", "test.echo")
    worker.run()
    assert dict(Task.objects.values_list("name", "status")) == {"first": "completed", "test.echo": "pending"}


def test_an_outage_in_the_middle_loses_nothing(worker, monkeypatch):
    tasks = [make_task() for _ in range(10)]
    real, calls = lifecycle.record, []

    def sometimes(*args):
        calls.append(1)
        if len(calls) % 2:
            raise OperationalError("away")
        return real(*args)

    monkeypatch.setattr(lifecycle, "record", sometimes)
    quick(worker, "test.echo")
    worker.run()
    assert Task.objects.filter(status="completed", attempt=1).count() == len(tasks)


def test_what_the_database_refuses_ends_the_worker_instead_of_being_tried_for_ever(worker, monkeypatch):
    def refuse(*_):
        raise IntegrityError("twice")

    make_task()
    monkeypatch.setattr(lifecycle, "record", refuse)
    with pytest.raises(IntegrityError):
        worker.run()


def test_a_process_that_has_had_its_time_gives_way(worker, session, monkeypatch):
    make_task()
    monkeypatch.setattr(type(worker._budget), "is_spent", True)
    worker.run()
    assert Task.objects.get().status == "pending"


def test_a_handler_in_an_open_transaction_does_not_break_the_worker(worker, handler):
    handler("leaks", lambda ctx: transaction.atomic().__enter__(), max_attempts=1)
    make_task(name="leaks", priority=1), make_task()
    worker.run()
    assert dict(Task.objects.values_list("name", "status")) == {"leaks": "dead_lettered", "test.echo": "completed"}
    assert connection.features.supports_json_field  # another connection, which the next test finds at work


def test_idle_is_who_waits(worker, session, monkeypatch):
    seen = []

    class Listener:
        def wait(self, seconds):
            seen.append((session.is_idle, seconds))
            session.told = True

        def close(self):
            seen.append("closed")

    make_task(delay=3600)
    monkeypatch.setattr(plain.hints, "listen", lambda topic: Listener())
    worker.run()
    assert seen == [(True, claim.SAFETY), "closed"]
    assert not session.is_idle


def test_the_pace_is_learnt_from_what_runs(worker):
    make_task()
    assert worker._pace.expected("test.echo") == claim.AHEAD
    worker.run()
    assert worker._pace.expected("test.echo") < claim.AHEAD
