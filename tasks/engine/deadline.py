"""Ending Python code that does not end by itself: an exception thrown into the main thread by an alarm.

The exception is armed only while user code runs, and repeats each second until it is left: code that swallows one
meets the next. What no exception can end (C code that never returns to the interpreter) is the watchdog's to end, with
the process.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tasks.engine.context import DEADLINE, Context, Interrupted

REPEAT = 1.0  # seconds


class Alarm:
    """One for each process; it owns SIGALRM."""

    def __init__(self) -> None:
        self._armed: Context | None = None
        self._ends = 0.0
        self._listens = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Have SIGALRM, for one attempt or for a few short ones: to take it for each would take longer than they do."""
        if threading.current_thread() is not threading.main_thread():
            yield  # no alarm reaches another thread; only tests run handlers there
            return
        before = signal.signal(signal.SIGALRM, self._ring)
        self._listens = True
        try:
            yield
        finally:
            self._listens = False
            signal.signal(signal.SIGALRM, before)

    @contextmanager
    def within(self, seconds: float, context: Context) -> Iterator[None]:
        """Raise `Interrupted` in the code inside when `seconds` are over, or when its attempt is forced to end."""
        if not self._listens:
            yield
            return
        if signal.getsignal(signal.SIGALRM) != self._ring:  # the handler before this one has taken it
            signal.signal(signal.SIGALRM, self._ring)
        try:
            try:
                self._ends, self._armed = time.monotonic() + seconds, context
                signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001), REPEAT)
                yield
            finally:  # it may ring here still, on the threshold: that must not keep it armed
                self._armed = None
        finally:
            self._armed = None
            signal.setitimer(signal.ITIMER_REAL, 0)

    def force(self, context: Context, reason: str) -> None:
        """From another thread: end this attempt now, if it is still the one that runs."""
        context.force(reason)
        if self._armed is context:
            signal.setitimer(signal.ITIMER_REAL, 0.001, REPEAT)

    def _ring(self, signum: int, frame: FrameType | None) -> None:
        """The alarm may have been meant for the attempt before this one: so it asks again."""
        context = self._armed
        if context and (context.forced or time.monotonic() >= self._ends):
            raise Interrupted(context.interruption or DEADLINE)
