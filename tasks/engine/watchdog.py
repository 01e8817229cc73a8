"""The thread that ends what does not end by itself: first by an exception, then with the process.

It waits for nothing but the clock, so that a database that does not answer cannot keep a deadline from being held.
Only to write the last words of an attempt, when the process ends with it, it needs the database.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from tasks import errors
from tasks.changes import Outcome
from tasks.engine.context import DEADLINE, SHUTDOWN
from tasks.engine.desk import Desk, Running
from tasks.engine.fuse import Fuse
from tasks.engine.pulse import Pulse
from tasks.engine.session import Session
from tasks.states import Actions

logger = logging.getLogger(__name__)

TICK = 0.25  # seconds
AGAIN = 1.0  # seconds between two tries to end a handler
HARD = 5.0  # seconds after which a handler that no exception ends takes its process with it
LAST = 1.0  # seconds more, after which C ends the process if Python can't
SILENT = 25.0  # seconds that one step of the pulse may take: longer than a lock of SQLite's may be waited for


class Watchdog(threading.Thread):
    """Started with the session. It looks only at attempts whose code runs just now: see `guard`."""

    def __init__(self, session: Session, desk: Desk, pulse: Pulse) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._session, self._desk, self._pulse = session, desk, pulse
        self._fuse = Fuse()
        self._guarded: set[Running] = set()
        self._told: dict[Running, list[float]] = {}  # the moments at which each was told to end
        self._finished = threading.Event()
        self._step, self._looks = 0, 0  # of the pulse, and how often it was seen in it

    @contextmanager
    def guard(self, running: Running) -> Iterator[None]:
        """While this lasts, code of a user's runs, or a request is on its way."""
        self._fuse.hold(running, running.began + running.task.timeout + HARD + LAST)
        self._guarded.add(running)
        try:
            yield
        finally:
            self._guarded.discard(running)
            self._told.pop(running, None)
            self._fuse.release(running)

    def finish(self) -> None:
        """Returns when the thread has ended."""
        self._finished.set()
        self.join()

    def run(self) -> None:
        while not self._finished.wait(TICK):
            try:
                self.look()
            except Exception:
                logger.exception("The worker's watchdog stumbled; it goes on.")
        self._fuse.trim()

    def look(self) -> None:
        """End what has run too long."""
        for running in self._guarded.copy():
            end, reason = self._end_of(running)
            if time.monotonic() >= end:
                self._end(running, reason)
            self._hold(running, end)
        self._fuse.trim()
        self._listen_to_pulse()

    def _end_of(self, running: Running) -> tuple[float, str]:
        """The moment at which the attempt is over, and why."""
        ends = [(running.began + running.task.timeout, DEADLINE)]
        if running.canceled_at is not None:
            ends.append((running.canceled_at + settings.TASKHUB_CANCEL_GRACE_S, str(Actions.CANCEL)))
        if self._session.grace_ends is not None:
            ends.append((self._session.grace_ends, SHUTDOWN))
        return min(ends)

    def _end(self, running: Running, reason: str) -> None:
        """`HARD` seconds count from the first try: the process itself may have been frozen over the deadline."""
        now, told = time.monotonic(), self._told.setdefault(running, [])
        if told and now >= told[0] + HARD:
            self._die(running, reason)
        elif not told or now >= told[-1] + AGAIN:
            told.append(now)
            running.force(reason)

    def _hold(self, running: Running, end: float) -> None:
        told = self._told.get(running, [end])
        self._fuse.hold(running, max(end, told[0]) + HARD + LAST)
        if running not in self._guarded:  # it has ended meanwhile
            self._told.pop(running, None)
            self._fuse.release(running)

    def _die(self, running: Running, reason: str) -> None:
        """End the process, and before that write the end of the attempt that cannot be ended.

        If there are others, nobody can tell whose fault it is: then the rescue gives all of them back.
        """
        if running not in self._guarded:
            return
        logger.error("%s %s does not end; the worker ends with it.", running.task.name, running.task.pk)
        self._fuse.hold("last words", time.monotonic() + HARD)
        try:
            if len(self._desk.running) == 1:
                self._desk.hand_back()
                self._desk.end(running, _last_words(running, reason))
                self._desk.record()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)

    def _listen_to_pulse(self) -> None:
        """A database that neither answers nor refuses has cost the lease long ago; a fresh process tries afresh.

        Looks are counted, not seconds: this process may have been frozen.
        """
        step = self._pulse.steps
        self._step, self._looks = step, self._looks + 1 if step == self._step else 0
        if self._looks * TICK >= SILENT and self._pulse.is_alive():
            logger.error("The database has not answered for %g s; the worker ends.", SILENT)
            os.kill(os.getpid(), signal.SIGKILL)


def _last_words(running: Running, reason: str) -> Outcome:
    task = running.task
    if reason != DEADLINE:
        return Outcome(task.pk, task.present_lease, Actions.RELEASE, elapsed=running.elapsed)
    error = errors.describe(task.name, "DeadlineExceeded", f"The deadline of {task.timeout:g} s passed.")
    return Outcome(task.pk, task.present_lease, Actions.FAIL, error=error, elapsed=running.elapsed)
