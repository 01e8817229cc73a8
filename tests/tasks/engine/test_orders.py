"""Signals, as the supervisor hears them. Each test has a process of its own: handlers belong to a whole process."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

TIMEOUT = 30  # seconds; reached only when something is broken


def told(*numbers: signal.Signals, before: str = "") -> list[str]:
    """What a process makes of these signals: whether it is to stop, whether it is to hurry."""
    code = f"""
        import os, signal
        from tasks.engine.orders import Orders
        {before}
        orders = Orders()
        orders.heed()
        print(orders.to_stop, flush=True)
        for number in {[int(number) for number in numbers]}:
            os.kill(os.getpid(), number)
            orders.wait(1)
        print(orders.to_stop, orders.to_hurry)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=True)
    first, *rest = done.stdout.split()
    assert first == "False"
    return rest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_each_of_them_says_stop(number):
    assert told(number) == ["True", "False"]


def test_a_second_ctrl_c_says_at_once():
    assert told(signal.SIGINT, signal.SIGINT) == ["True", "True"]
    assert told(signal.SIGTERM, signal.SIGINT) == ["True", "True"]


def test_a_second_sigterm_is_what_make_passes_on():
    assert told(signal.SIGTERM, signal.SIGTERM) == ["True", "False"]
    assert told(signal.SIGINT, signal.SIGTERM) == ["True", "False"]


def test_a_child_that_ends_only_wakes():
    assert told(signal.SIGCHLD) == ["False", "False"]


def test_under_nohup_a_closed_terminal_says_nothing():
    assert told(signal.SIGHUP, signal.SIGCHLD, before="signal.signal(signal.SIGHUP, signal.SIG_IGN)")[0] == "False"
