"""Processes that end with their parent: real ones, three generations of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tasks.engine.kinship import die_with_parent
from tests.processes import alive, until

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="only the Linux kernel offers it"),
]
FAMILY = """
import multiprocessing, os, time
from tasks.engine.kinship import die_with_parent

def child():
    {child}

multiprocessing.get_context("fork").Process(target=child).start()
{parent}
"""
BOUND = "die_with_parent(); print(os.getpid(), flush=True); time.sleep(600)"
LATE = """
    parent = multiprocessing.parent_process().pid
    while os.getppid() == parent:
        time.sleep(0.01)
    die_with_parent()
    print("went on", flush=True)
"""


def family(child: str, parent: str) -> subprocess.Popen[str]:
    script = FAMILY.format(child=child, parent=parent)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def test_a_child_dies_with_its_parent():
    parent = family(BOUND, "time.sleep(600)")
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait(60)
    until(lambda: not alive(child), "the child to be gone")


def test_a_child_whose_parent_was_gone_before_does_not_go_on():
    parent = family(LATE.strip(), "os._exit(0)")
    assert parent.stdout.read() == ""  # read to its end, which comes with the child's


def test_who_was_not_forked_by_multiprocessing_is_left_alone(monkeypatch):
    monkeypatch.setattr(os, "_exit", lambda code: pytest.fail("ended"))
    die_with_parent()


FOREBEAR = """
import os, time
from tasks.engine.kinship import take_children_along

take_children_along()
if not os.fork():
    grandchild = os.fork()
    if grandchild:
        print(os.getpid(), grandchild, flush=True)
time.sleep(600)
"""


def test_children_go_along_from_their_first_moment_and_grandchildren_are_left_alone():
    parent = subprocess.Popen([sys.executable, "-c", FOREBEAR], stdout=subprocess.PIPE, text=True)
    child, grandchild = map(int, parent.stdout.readline().split())
    parent.kill()
    parent.wait(60)
    until(lambda: not alive(child), "the child to be gone")
    assert alive(grandchild)
    os.kill(grandchild, signal.SIGKILL)
