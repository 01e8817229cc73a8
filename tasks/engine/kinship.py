"""Ending with one's parent, where the kernel offers it (Linux). Elsewhere the workers notice by themselves."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def signal_at_parents_death(number: int) -> None:
    """Ask the kernel to send that signal to this process when its parent dies. A fork does not inherit the wish."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def die_with_parent() -> None:
    """To be called in a process of multiprocessing's. It ends with its parent, and here if that has died before."""
    if parent := multiprocessing.parent_process():
        _die_with(parent.pid)


def take_children_along() -> None:
    """Whatever this process forks from now on ends with it, from its first moment; what those fork is their own."""
    parent, forked_by_us = os.getpid(), [True]

    def follow() -> None:
        if forked_by_us:
            forked_by_us.clear()
            _die_with(parent)

    os.register_at_fork(after_in_child=follow)


def _die_with(parent: int | None) -> None:
    signal_at_parents_death(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
