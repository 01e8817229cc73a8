"""The alarm, in this very process."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from tasks.engine import deadline
from tasks.engine.context import DEADLINE, Context, Interrupted
from tasks.engine.deadline import Alarm
from tasks.models import Task

LONG = 60.0  # seconds that no test takes


@pytest.fixture
def context():
    return Context(Task(name="test.echo"))


@pytest.fixture(autouse=True)
def nothing_is_left():
    before = signal.getsignal(signal.SIGALRM)
    yield
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@contextmanager
def within(seconds: float, context: Context):
    with (alarm := Alarm()).listening(), alarm.within(seconds, context):
        yield


def test_code_in_time_is_left_alone(context):
    with within(LONG, context):
        pass


def test_code_that_takes_too_long_is_interrupted(context):
    with pytest.raises(Interrupted) as interruption, within(0.01, context):
        time.sleep(LONG)
    assert interruption.value.reason == DEADLINE


def test_code_that_swallows_one_meets_the_next(context, monkeypatch):
    monkeypatch.setattr(deadline, "REPEAT", 0.01)
    swallowed = []

    def stubborn() -> None:
        while len(swallowed) < 3:
            with suppress(BaseException):
                time.sleep(LONG)
            swallowed.append(1)
        time.sleep(LONG)

    with pytest.raises(Interrupted), within(0.01, context):
        stubborn()
    assert len(swallowed) == 3


def test_another_thread_can_end_it_and_says_why(context):
    alarm, inside = Alarm(), threading.Event()

    def force() -> None:
        inside.wait(LONG)
        alarm.force(context, "shutdown")

    thread = threading.Thread(target=force)
    thread.start()
    with pytest.raises(Interrupted) as interruption, alarm.listening(), alarm.within(LONG, context):
        time.sleep(LONG if inside.set() is None else 0)
    thread.join()
    assert interruption.value.reason == "shutdown"


def test_who_is_ended_too_late_is_not_ended(context):
    alarm, other = Alarm(), Context(Task(name="test.echo"))
    with alarm.listening(), alarm.within(LONG, context):
        alarm.force(other, "shutdown")
        time.sleep(0)
    assert other.forced
    assert not context.forced


def test_an_alarm_for_the_attempt_before_is_not_taken_for_this_ones(context):
    alarm = Alarm()
    with alarm.listening(), alarm.within(LONG, context):
        signal.raise_signal(signal.SIGALRM)


class OnTheThreshold(Alarm):
    """Rings in the very moment in which it is armed, or in which it is to be disarmed."""

    rings_when: object = "never"

    @property
    def _armed(self):
        return self.__dict__.get("armed")

    @_armed.setter
    def _armed(self, context):
        rings = context is self.rings_when
        if context is not None or not rings:
            self.armed = context
        if rings:
            self.rings_when, self._ends = "never", 0.0
            signal.raise_signal(signal.SIGALRM)
            self.armed = context


@pytest.mark.parametrize("at_the_end", [False, True])
def test_an_alarm_on_the_threshold_leaves_nothing_armed(context, at_the_end):
    alarm = OnTheThreshold()
    alarm.rings_when = None if at_the_end else context
    with pytest.raises(Interrupted), alarm.listening(), alarm.within(LONG, context):
        pass
    assert alarm._armed is None


def test_in_another_thread_there_is_no_alarm(context):
    seen = []

    def work() -> None:
        with within(0.001, context):
            seen.append(signal.getitimer(signal.ITIMER_REAL))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(0.0, 0.0)]


def test_one_attempt_after_the_other_is_ended_in_time(context):
    with (alarm := Alarm()).listening():
        for _ in range(2):
            with pytest.raises(Interrupted), alarm.within(0.01, context):
                time.sleep(LONG)


def test_one_who_takes_the_signal_for_himself_takes_no_deadline_from_the_next(context):
    with (alarm := Alarm()).listening():
        with alarm.within(LONG, context):
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
        with pytest.raises(Interrupted), alarm.within(0.01, context):
            time.sleep(LONG)


def test_who_does_not_listen_raises_nothing(context):
    with Alarm().within(0.001, context):
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
