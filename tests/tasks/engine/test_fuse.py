"""The thread of C's, replaced by a list of what it was told; and once in earnest, in a process of its own."""

from __future__ import annotations

import faulthandler
import subprocess
import sys
import time

import pytest

from tasks.engine.fuse import Fuse

HANG = """
import ctypes, time
from tasks.engine.fuse import Fuse
fuse = Fuse()
fuse.hold("task", time.monotonic() + 1)
ctypes.PyDLL(None).sleep(600)  # holds the interpreter
"""


@pytest.fixture
def told(monkeypatch):
    """For how many seconds from now it was set, None where it was put out."""
    told: list[float | None] = []
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda seconds, **_: told.append(round(seconds)))
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", lambda: told.append(None))
    return told


def test_the_first_moment_counts(told):
    fuse, now = Fuse(), time.monotonic()
    fuse.hold("long", now + 100)
    fuse.hold("short", now + 10)
    fuse.hold("longer", now + 1000)
    assert told == [100, 10]


def test_a_short_task_after_another_starts_no_thread(told):
    fuse, now = Fuse(), time.monotonic()
    for n in range(5):
        fuse.hold(n, now + 10 + n / 100)
        fuse.release(n)
    assert told == [10]


def test_what_burns_is_set_right_every_now_and_then(told):
    fuse, now = Fuse(), time.monotonic()
    fuse.hold("first", now + 10)
    fuse.hold("second", now + 20)
    fuse.release("first")
    fuse.trim()
    fuse.trim()
    fuse.release("second")
    fuse.trim()
    fuse.hold("third", now + 30)
    assert told == [10, 20, None, 30]


def test_a_moment_can_be_put_off(told):
    fuse, now = Fuse(), time.monotonic()
    fuse.hold("task", now + 10)
    fuse.hold("task", now + 20)
    fuse.trim()
    assert told == [10, 20]


@pytest.mark.processes
def test_code_that_holds_the_interpreter_takes_its_process_with_it():
    ended = subprocess.run([sys.executable, "-c", HANG], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "most recent call first" in ended.stderr
