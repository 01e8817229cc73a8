"""A child's plans. What happens to real processes is in test_supervisor."""

from __future__ import annotations

import signal
import sys

import pytest

from tasks.engine import children
from tasks.engine.children import Child


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(children, "time", clock)
    return clock


@pytest.fixture
def child(clock):
    """One that runs until it is told to die, by us."""
    child = Child("It", [sys.executable, "-c", "import time; time.sleep(600)"], {})
    child.plan()
    child.start()
    yield child
    if child.is_running:
        die(child)


def die(child: Child, code: int | None = None) -> None:
    process = child._process
    child.kill()
    process.wait(30)
    child.ended(process.returncode if code is None else code)


def test_it_is_due_once_it_is_planned(clock):
    child = Child("It", ["true"], {})
    assert not child.is_due
    assert child.has_gone
    child.plan()
    assert child.is_due


def test_it_leads_a_group_of_its_own_and_is_gone_with_its_last_process(child):
    assert child.is_running
    assert child.group == child.pid
    assert not child.has_gone
    die(child)
    assert child.has_gone
    assert (child.is_running, child.pid, child.group, child.code) == (False, None, None, -signal.SIGKILL)


def test_what_is_gone_is_not_signalled(child, monkeypatch):
    die(child)
    assert child.has_gone
    monkeypatch.setattr(children.os, "killpg", lambda *_: pytest.fail("somebody else's group"))
    child.kill()
    child.send(signal.SIGTERM)
    child.tell_to_stop()


def test_each_death_makes_it_wait_longer_up_to_a_limit(child, clock, caplog):
    waits = []
    for _ in range(9):
        die(child, 1)
        child.plan_again()
        assert not child.is_due
        waits.append(child._due - clock.now)
        clock.now += waits[-1]
        assert child.is_due
        child.start()
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert "It has ended (exit code 1); starting it again in 0.5 s." in caplog.text


def test_who_ran_for_a_while_starts_again_soon(child, clock):
    for _ in range(3):
        die(child, 1)
        child.plan_again()
        child.start()
    clock.now += children.STEADY
    die(child)
    child.plan_again()
    assert child._due - clock.now == children.FIRST_WAIT


def test_new_code_that_fails_at_once_waits_for_newer_code(child, clock, caplog):
    die(child)
    child.plan(on_trial=True)
    child.start()
    die(child, 1)
    child.plan_again()
    clock.now += 3600
    assert not child.is_due
    assert "waiting for the next change of the code" in caplog.text
    child.plan(on_trial=True)
    assert child.is_due


@pytest.mark.parametrize(("code", "age"), [(-signal.SIGKILL, 0.0), (1, children.TRIAL)])
def test_new_code_is_not_blamed_for_a_kill_nor_for_a_later_death(code, age, child, clock):
    die(child)
    child.plan(on_trial=True)
    child.start()
    clock.now += age
    die(child, code)
    child.plan_again()
    clock.now += children.FIRST_WAIT
    assert child.is_due
