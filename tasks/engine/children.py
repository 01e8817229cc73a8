"""The processes that a supervisor starts, each in a process group of its own. No Django, no database."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.engine import lifeline

logger = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds before a child that died is started again; doubled each time
STEADY = 30.0  # seconds after which an earlier death is forgotten
TRIAL = 10.0  # seconds in which a death is blamed on the code that has just changed


class Child:
    """One program that is to run as long as the supervisor does."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], descriptors: Sequence[int] = ()
    ) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._descriptors = descriptors
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: lifeline.Lifeline | None = None
        self._started = 0.0
        self._deaths = 0
        self._due: float | None = None  # when to start it, by the monotonic clock; None for not by itself
        self._on_trial = False

    @property
    def pid(self) -> int | None:
        """Its process id, which is its group's too; None when it does not run."""
        return self._process.pid if self._process else None

    @property
    def is_due(self) -> bool:
        return self._process is None and self._due is not None and time.monotonic() >= self._due

    @property
    def age(self) -> float:
        return time.monotonic() - self._started

    def plan(self, on_trial: bool = False) -> None:
        """Start it at the next opportunity. One on trial is not started again if it fails at once."""
        self._due, self._deaths, self._on_trial = time.monotonic(), 0, on_trial

    def start(self) -> None:
        line = lifeline.Lifeline()
        self._process = subprocess.Popen(
            self._command,
            env=os.environ | self._environment | {lifeline.VARIABLE: str(line.read_end)},
            pass_fds=[*self._descriptors, line.read_end],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        line.hand_over()
        self._lifeline, self._started = line, time.monotonic()

    def tell_to_stop(self) -> None:
        if self._lifeline:
            self._lifeline.stop()

    def send(self, number: signal.Signals) -> None:
        """To the program itself; it looks after its own children."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End the whole group at once."""
        if self._process:
            kill_group(self._process.pid)

    def ended(self, code: int) -> None:
        """Its program has ended: end what it left behind, and forget it."""
        assert self._process
        self.kill()
        self._process.returncode = code  # we have reaped it ourselves
        self._process = None
        if self._lifeline:
            self._lifeline.close()

    def plan_again(self, code: int) -> None:
        """After a death that nobody asked for: wait longer each time, or for better code."""
        if self._on_trial and code > 0 and self.age < TRIAL:
            self._due = None
            logger.error("%s cannot start (exit code %d); waiting for the next change of the code", self.name, code)
            return
        self._deaths = self._deaths + 1 if self.age < STEADY else 1
        wait = min(FIRST_WAIT * 2 ** (self._deaths - 1), LONGEST_WAIT)
        self._due = time.monotonic() + wait
        logger.error("%s ended (%s); starting it again in %g s", self.name, _how(code), wait)


def kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, when only zombies are left
        os.killpg(group, signal.SIGKILL)


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


# -- everything that descends from us ------------------------------------------------------------------------------


def adopt_orphans() -> None:
    """On Linux, become the parent of descendants whose own parent dies: so none stays behind, and none as a zombie."""
    if sys.platform == "linux":
        set_child_subreaper = 36
        ctypes.CDLL(None, use_errno=True).prctl(set_child_subreaper, 1, 0, 0, 0)


def reap() -> dict[int, int]:
    """Collect the children that have ended, adopted ones too. Returns their exit codes by id."""
    ended: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = os.waitstatus_to_exitcode(found[1])
    return ended


def offspring() -> set[int]:
    """The ids of our present children, adopted ones too. Known on Linux only; elsewhere empty."""
    found: set[int] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread has ended
            found.update(map(int, path.read_text().split()))
    return found
