"""The thread beside the handlers: it keeps the lease, writes what lies on the desk, and watches the clock.

It has a database connection of its own and never runs user code. Whatever fails here is tried again at the next
beat; while the database is away, the lease runs down and the worker stops starting what it holds.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import threading
import time

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from tasks import errors
from tasks.changes import Outcome
from tasks.engine.claim import AHEAD
from tasks.engine.context import DEADLINE, SHUTDOWN
from tasks.engine.desk import RESULTS_WAIT, Desk, Running
from tasks.engine.session import Session
from tasks.models import Task
from tasks.states import Actions

logger = logging.getLogger(__name__)

TICK = 0.25  # seconds; also the least time between two progress writes of a task
AGAIN = 1.0  # seconds between two tries to end a handler
HARD = 5.0  # seconds after which a handler that no exception ends takes its process with it


class Pulse(threading.Thread):
    """Started with the session, stopped by `finish` when nothing is in hand any more."""

    def __init__(self, session: Session, desk: Desk) -> None:
        super().__init__(name="pulse", daemon=True)
        self._session, self._desk = session, desk
        self._finished = threading.Event()
        self._hurry = threading.Event()
        self._next_renewal = time.monotonic() + settings.TASKHUB_HEARTBEAT_S
        self._next_report = 0.0

    def hurry(self) -> None:
        """Several tasks lie on the desk: look at it more often."""
        self._hurry.set()

    def finish(self) -> None:
        """Beat no more. Returns when the thread has ended."""
        self._finished.set()
        self._hurry.set()
        self.join()

    def run(self) -> None:
        while not self._finished.is_set():
            self._hurry.wait(RESULTS_WAIT if self._desk.is_busy else TICK)
            if self._hurry.is_set():
                self._hurry.clear()
            self.beat()
        faulthandler.cancel_dump_traceback_later()
        connection.close()

    def beat(self) -> None:
        """Everything that is due now."""
        for step in (self._watch, self._tidy, self._renew, self._report, self._listen):
            try:
                step()
            except (DatabaseError, InterfaceError) as error:
                logger.warning("The database does not answer (%s); trying again.", str(error).strip())
                connection.close()
            except Exception:
                logger.exception("The worker's pulse stumbled; it goes on.")

    # -- steps ----------------------------------------------------------------------------------------------------

    def _renew(self) -> None:
        if time.monotonic() >= self._next_renewal:
            self._session.renew()
            self._next_renewal = time.monotonic() + settings.TASKHUB_HEARTBEAT_S

    def _tidy(self) -> None:
        """A handler takes longer than expected: what lies around it must not wait for it."""
        slow = any(running.elapsed > AHEAD for running in list(self._desk.running.values()))
        if slow or self._session.ending or not self._session.is_safe:
            self._desk.hand_back()
        if self._desk.outcomes_are_due:
            self._desk.record()

    def _report(self) -> None:
        if self._desk.running and time.monotonic() >= self._next_report:
            self._desk.report()
            self._next_report = time.monotonic() + TICK

    def _listen(self) -> None:
        """Let running handlers know of a cancel or a pause."""
        if not any(running.elapsed > TICK for running in list(self._desk.running.values())):
            return
        requested = Task.objects.processing().filter(worker=self._session.worker, requested__isnull=False)
        for task_id, request in requested.values_list("pk", "requested"):
            running = self._desk.running.get(task_id)
            if running and request:
                running.context.interrupt(request)
                if request == Actions.CANCEL:
                    running.canceled_at = running.canceled_at or time.monotonic()

    def _watch(self) -> None:
        """End what has run too long: first by an exception, at last with the process."""
        now, ends = time.monotonic(), []
        for running in list(self._desk.running.values()):
            end, reason = self._end_of(running)
            ends.append(end)
            if now >= end + HARD:
                self._die(running, reason)
            elif now >= end and now - (running.forced_at or 0) >= AGAIN:
                running.forced_at = now
                running.force(reason)
        self._arm(min(ends, default=None))

    def _end_of(self, running: Running) -> tuple[float, str]:
        """The moment at which the attempt is over, and why."""
        ends = [(running.began + running.task.timeout, DEADLINE)]
        if running.canceled_at is not None:
            ends.append((running.canceled_at + settings.TASKHUB_CANCEL_GRACE_S, str(Actions.CANCEL)))
        if self._session.grace_ends is not None:
            ends.append((self._session.grace_ends, SHUTDOWN))
        return min(ends)

    def _arm(self, end: float | None) -> None:
        """A handler in C that holds the interpreter stops this thread too: only a thread of C's can end it then."""
        if end is None:
            faulthandler.cancel_dump_traceback_later()
        else:
            faulthandler.dump_traceback_later(max(end - time.monotonic(), 0) + 2 * HARD, exit=True)

    def _die(self, running: Running, reason: str) -> None:
        """Write the end of the attempt that cannot be ended, and end the process."""
        task = running.task
        logger.error("%s %s does not end; the worker ends with it.", task.name, task.pk)
        self._desk.hand_back()
        if reason == DEADLINE:
            error = errors.describe(task.name, "DeadlineExceeded", f"The deadline of {task.timeout:g} s passed.")
            outcome = Outcome(task.pk, task.present_lease, Actions.FAIL, error=error, elapsed=running.elapsed)
        else:
            outcome = Outcome(task.pk, task.present_lease, Actions.RELEASE, elapsed=running.elapsed)
        try:
            self._desk.end(running, outcome)
            self._desk.record()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
