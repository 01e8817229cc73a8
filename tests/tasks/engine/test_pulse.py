"""What is done beside the handlers: one beat after the other, without the thread."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from django.db import OperationalError

from tasks import lifecycle
from tasks.changes import Outcome
from tasks.engine import desk as desk_module
from tasks.engine import pulse as module
from tasks.engine.desk import Desk
from tasks.engine.pulse import Pulse
from tasks.models import Attempt, Task, TaskLog
from tasks.states import Actions as A
from tests.factories import make_task, make_worker
from tests.processes import until

pytestmark = pytest.mark.django_db


class FakeSession:
    """A lease that is renewed by counting."""

    def __init__(self) -> None:
        self.worker = make_worker()
        self.is_safe, self.ending, self.renewals = True, False, 0

    def renew(self) -> None:
        self.renewals += 1


@pytest.fixture
def session():
    return FakeSession()


@pytest.fixture
def desk(session):
    return Desk(session.worker)


@pytest.fixture
def shared(monkeypatch):
    """When durations were shared."""
    shared = []
    monkeypatch.setattr(module.durations, "share", lambda: shared.append(time.monotonic()))
    return shared


@pytest.fixture
def pulse(session, desk, shared):
    return Pulse(session, desk)


@pytest.fixture
def clock(monkeypatch):
    """Everybody's monotonic clock; it stands still unless it is moved."""
    clock = SimpleNamespace(now=time.monotonic())
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    return clock


def hold(session, desk, n: int = 1) -> None:
    for _ in range(n):
        make_task()
    desk.exchange(lambda: lifecycle.claim(Task.objects.ready(), session.worker))


def start(desk, clock):
    running = desk.start()
    running.began = clock.now
    return running


def test_the_lease_is_renewed_when_its_time_has_come(clock, session, pulse, settings):
    pulse.beat()
    assert session.renewals == 0
    clock.now += settings.TASKHUB_HEARTBEAT_S
    pulse.beat()
    pulse.beat()
    assert session.renewals == 1


def test_a_claim_in_doubt_does_not_wait_for_a_slow_handler(clock, session, desk, pulse):
    hold(session, desk)
    start(desk, clock)
    stray = make_task()
    desk._doubtful = lifecycle.claim(Task.objects.ready(), session.worker)
    pulse.beat()
    assert desk.claim_in_doubt
    for _ in range(2):  # it is found and handed back, and that is written
        clock.now += 2 * module.AHEAD
        pulse.beat()
    assert not desk.claim_in_doubt
    assert Task.objects.get(pk=stray.pk).status == "pending"


def test_a_renewal_that_failed_is_tried_at_the_next_beat(clock, session, pulse, settings, monkeypatch):
    clock.now += settings.TASKHUB_HEARTBEAT_S
    with monkeypatch.context() as patch:
        patch.setattr(session, "renew", _away)
        assert not pulse.beat()
    assert pulse.beat()
    assert session.renewals == 1


def _away() -> None:
    raise OperationalError("away")


def test_nothing_comes_before_the_lease(clock, session, desk, pulse, settings, monkeypatch):
    """A step that takes long, because the database is slow, must not cost it."""
    clock.now += settings.TASKHUB_HEARTBEAT_S
    monkeypatch.setattr(pulse, "_tidy", _away)
    assert not pulse.beat()
    assert session.renewals == 1


def test_what_does_not_come_back_can_be_seen_from_outside(pulse):
    before = pulse.steps
    pulse.beat()
    assert pulse.steps == before + 6


def test_how_long_handlers_take_is_shared_now_and_then(clock, pulse, settings, shared):
    pulse.beat()
    pulse.beat()
    assert len(shared) == 1
    clock.now += settings.TASKHUB_HEARTBEAT_S
    pulse.beat()
    assert len(shared) == 2


def test_outcomes_that_have_lain_long_enough_are_written(clock, session, desk, pulse):
    hold(session, desk)
    running = desk.start()
    desk.end(running, Outcome(running.task.pk, running.task.lease, A.COMPLETE))
    pulse.beat()
    assert Task.objects.get().status == "processing"
    clock.now += desk_module.RESULTS_WAIT * 1.1
    pulse.beat()
    assert Task.objects.get().status == "completed"


def test_what_lies_around_a_slow_handler_is_handed_back(clock, session, desk, pulse):
    hold(session, desk, 3)
    start(desk, clock)
    pulse.beat()
    assert Task.objects.filter(status="pending").count() == 0
    clock.now += module.AHEAD * 1.1
    pulse.beat()
    clock.now += desk_module.RESULTS_WAIT * 1.1
    pulse.beat()
    assert Task.objects.filter(status="pending", attempt=0).count() == 2


def test_what_is_held_for_long_makes_way_for_the_urgent_and_only_then(clock, session, desk, pulse):
    hold(session, desk, 3)
    clock.now = desk._put_at + module.AHEAD * 1.1
    pulse.beat()
    assert len(desk.unstarted()) == 3
    make_task(priority=1)
    pulse.beat()
    assert len(desk.unstarted()) == 3  # it has just looked
    clock.now += module.AHEAD
    pulse.beat()
    assert desk.unstarted() == []


@pytest.mark.parametrize("why", [{"ending": True}, {"is_safe": False}])
def test_what_may_not_be_started_any_more_is_handed_back(clock, session, desk, pulse, why):
    hold(session, desk, 2)
    vars(session).update(why)
    pulse.beat()
    clock.now += desk_module.RESULTS_WAIT * 1.1
    pulse.beat()
    assert Task.objects.filter(status="pending").count() == 2
    assert set(Attempt.objects.values_list("outcome", flat=True)) == {"released"}


def test_reports_are_written_four_times_a_second_at_most(clock, session, desk, pulse):
    hold(session, desk)
    context = desk.start().context
    context.log("first")
    pulse.beat()
    context.log("second")
    pulse.beat()
    assert TaskLog.objects.count() == 1
    clock.now += module.TICK
    pulse.beat()
    assert TaskLog.objects.count() == 2


@pytest.mark.parametrize("request_", ["cancel", "pause"])
def test_a_running_handler_hears_of_a_request(clock, session, desk, pulse, request_):
    hold(session, desk)
    running = start(desk, clock)
    getattr(lifecycle, request_)(running.task.pk, "alice")
    clock.now += module.TICK * 1.1
    pulse.beat()
    assert running.context.interruption == request_
    assert (running.canceled_at is not None) is (request_ == "cancel")
    assert not running.context.forced


def test_the_grace_of_a_cancel_begins_when_it_is_first_seen(clock, session, desk, pulse):
    hold(session, desk)
    running = start(desk, clock)
    lifecycle.cancel(running.task.pk, "alice")
    clock.now += 1
    pulse.beat()
    seen = running.canceled_at
    clock.now += 1
    pulse.beat()
    assert running.canceled_at == seen == clock.now - 1


def test_it_beats_until_it_is_finished_and_hurries_when_asked(session, desk, pulse, monkeypatch):
    monkeypatch.setattr(module, "TICK", 60.0)
    monkeypatch.setattr(Pulse, "beat", lambda self: setattr(self, "steps", self.steps + 1) or True)
    pulse.start()
    pulse.hurry()
    until(lambda: pulse.steps == 1, "a beat")
    pulse.finish()
    assert not pulse.is_alive()
