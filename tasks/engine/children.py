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
STEADY = 30.0  # seconds after which earlier deaths are forgotten
TRIAL = 30.0  # seconds in which a death is blamed on the code that has just changed


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
        self.group: int | None = None  # its process group, of which it is the leader; None when nothing of it is left
        self.code: int | None = None  # how the last run ended, None while it runs
        self._started = 0.0
        self._deaths = 0
        self._due: float | None = None  # when to start it, by the monotonic clock; None for not by itself
        self._on_trial = False

    @property
    def pid(self) -> int | None:
        """The program's id while it runs, which is its group's too."""
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def is_due(self) -> bool:
        return self._process is None and self._due is not None and time.monotonic() >= self._due

    @property
    def has_gone(self) -> bool:
        """Whether no process of its group is left. From then on the group's number may become somebody else's."""
        if self.group and not self.is_running:
            try:
                os.killpg(self.group, 0)
            except (ProcessLookupError, PermissionError):  # PermissionError: macOS, when only zombies are left
                self.group = None
        return self.group is None

    # -- starting --------------------------------------------------------------------------------------------------

    def plan(self, on_trial: bool = False) -> None:
        """Start it at the next opportunity. One on trial is not started again if it fails at once."""
        self.code = None
        self._due, self._deaths, self._on_trial = time.monotonic(), 0, on_trial

    def plan_again(self) -> bool:
        """After a death that nobody asked for: wait longer each time, or for better code, which returns False."""
        assert self.code is not None
        code, self.code = self.code, None
        age = time.monotonic() - self._started
        if self._on_trial and code > 0 and age < TRIAL:
            self._due = None
            logger.error("%s cannot start (exit code %d); waiting for the next change of the code.", self.name, code)
            return False
        self._deaths = self._deaths + 1 if age < STEADY else 1
        wait = min(FIRST_WAIT * 2 ** (self._deaths - 1), LONGEST_WAIT)
        self._due = time.monotonic() + wait
        logger.error("%s has ended (%s); starting it again in %g s.", self.name, _how(code), wait)
        return True

    def start(self) -> None:
        line = lifeline.Lifeline()
        self._process = subprocess.Popen(  # noqa: S603 - our own programs
            self._command,
            env=os.environ | self._environment | {lifeline.VARIABLE: str(line.read_end)},
            pass_fds=[*self._descriptors, line.read_end],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        line.hand_over()
        self._lifeline, self._started = line, time.monotonic()
        self.group = self._process.pid

    # -- ending ----------------------------------------------------------------------------------------------------

    def tell_to_stop(self) -> None:
        if self._lifeline:
            self._lifeline.stop()

    def send(self, number: signal.Signals) -> None:
        """To the program itself; it looks after its own children."""
        if self._process:
            os.kill(self._process.pid, number)  # not reaped yet, so the id is still its own

    def kill(self) -> None:
        """End the whole group at once."""
        if not self.has_gone and self.group:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.group, signal.SIGKILL)

    def ended(self, code: int) -> None:
        """The program has ended, and has been reaped by us. Others of its group may be left."""
        assert self._process
        assert self._lifeline
        self._process.returncode = self.code = code
        self._process = None
        self._lifeline.close()
        self._lifeline = None


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


# -- all that descends from us --------------------------------------------------------------------------------------


def adopt_orphans() -> None:
    """On Linux, become the parent of descendants whose own parent dies: so none stays behind, and none as a zombie."""
    if sys.platform == "linux":
        set_child_subreaper = 36
        ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0)


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
