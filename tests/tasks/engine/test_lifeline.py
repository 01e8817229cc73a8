"""The pipe between the supervisor and its children, with real processes at both ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from tasks.engine import lifeline
from tasks.engine.lifeline import VARIABLE, Lifeline

TIMEOUT = 30  # seconds; reached only when something is broken


@pytest.fixture
def line():
    line = Lifeline()
    yield line
    line.close()


def start(line: Lifeline, code: str) -> subprocess.Popen[str]:
    """A child in a group of its own, as the supervisor starts them; it writes to its stdout what a test waits for."""
    child = subprocess.Popen(
        [sys.executable, "-c", "from tasks.engine import lifeline\n" + textwrap.dedent(code)],
        env=os.environ | {VARIABLE: str(line.read_end)},
        pass_fds=[line.read_end],
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    line.hand_over()
    return child


def output(child: subprocess.Popen[str]) -> list[str]:
    return child.communicate(timeout=TIMEOUT)[0].split()


def test_without_a_supervisor_nobody_is_told_to_stop(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    lifeline._end.cache_clear()
    assert not lifeline.stopping()
    assert not lifeline.lost()
    assert not lifeline.wait(0)
    assert lifeline.watch() is None


@pytest.mark.parametrize("value", ["", "x", "-1", "99999", "0x3"])
def test_a_variable_that_names_no_pipe_is_no_lifeline(value, monkeypatch):
    monkeypatch.setenv(VARIABLE, value)
    lifeline._end.cache_clear()
    assert not lifeline.lost()
    lifeline._end.cache_clear()


def test_a_byte_means_stop_and_every_process_of_the_child_sees_it(line):
    child = start(
        line,
        """
        import os
        print(lifeline.stopping(), flush=True)
        forked = os.fork()
        lifeline.wait(60)
        if forked:
            os.waitpid(forked, 0)
        print(lifeline.stopping(), lifeline.lost(), flush=True)
        """,
    )
    assert child.stdout.readline() == "False\n"
    line.stop()
    line.stop()
    assert output(child) == ["True", "False", "True", "False"]


def test_the_end_of_the_pipe_means_that_the_supervisor_is_gone(line):
    child = start(line, "print('up', flush=True); lifeline.wait(60); print(lifeline.stopping(), lifeline.lost())")
    assert child.stdout.readline() == "up\n"
    line.close()
    assert output(child) == ["True", "True"]


def test_the_watch_ends_the_whole_group(line):
    child = start(
        line,
        """
        import os, time
        if not os.fork():
            print("forked", flush=True)
            time.sleep(600)
        lifeline.watch()
        time.sleep(600)
        """,
    )
    assert child.stdout.readline() == "forked\n"
    line.stop()  # a child that is still finishing is ended as well
    line.close()
    assert output(child) == []  # the pipe of its output ends only with its last process
    assert child.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="only the Linux kernel tells")
def test_a_child_that_starts_is_told_by_the_kernel_and_takes_its_group_along():
    """As `manage.py hub` starts it: a parent that is killed, a child that has no thread to watch yet."""
    program = "import os, time; from tasks.engine import lifeline; lifeline.bind(); os.fork(); time.sleep(600)"
    parent = f"""
        import subprocess, sys, time
        line = lifeline.Lifeline()
        subprocess.Popen([sys.executable, "-c", {program!r}], env={{{VARIABLE!r}: str(line.read_end)}},
                         pass_fds=[line.read_end], start_new_session=True)
        line.hand_over()
        print("up", flush=True)
        time.sleep(600)
    """
    started = subprocess.Popen(
        [sys.executable, "-c", "from tasks.engine import lifeline\n" + textwrap.dedent(parent)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert started.stdout.readline() == "up\n"
    started.kill()
    assert output(started) == []  # the pipe of its output ends only with its last process


def test_without_a_supervisor_nobody_is_bound(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    lifeline._end.cache_clear()
    monkeypatch.setattr(lifeline, "signal_at_parents_death", pytest.fail)
    lifeline.bind()


def test_a_program_that_a_handler_starts_has_no_lifeline(line):
    child = start(
        line,
        f"""
        import subprocess, sys
        lifeline.stopping()
        program = "import os; print({VARIABLE!r} in os.environ)"
        subprocess.run([sys.executable, "-c", program], check=True)
        """,
    )
    assert output(child) == ["False"]
