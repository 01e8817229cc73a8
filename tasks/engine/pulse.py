"""The thread beside the handlers: it keeps the lease, writes what lies on the desk, and hears of requests.

It has a database connection of its own and never runs user code. Whatever fails here is tried again at the next
beat; while the database is away, the lease runs down and the worker stops starting what it holds.
"""

from __future__ import annotations

import threading
import time

from django.conf import settings
from django.db import connection

from tasks import durations
from tasks.engine import claim
from tasks.engine.claim import AHEAD
from tasks.engine.desk import RESULTS_WAIT, Desk
from tasks.engine.endurance import Outage
from tasks.engine.session import Session
from tasks.models import Task
from tasks.states import Actions

TICK = 0.25  # seconds; also the least time between two progress writes of a task
REST = 0.5  # seconds after a step that failed


class Pulse(threading.Thread):
    """Started with the session, stopped by `finish` when nothing is in hand any more."""

    def __init__(self, session: Session, desk: Desk) -> None:
        super().__init__(name="pulse", daemon=True)
        self._session, self._desk = session, desk
        self._finished = threading.Event()
        self._hurry = threading.Event()
        self._next_renewal = time.monotonic() + settings.TASKHUB_HEARTBEAT_S
        self._next_report = self._next_look = self._next_share = 0.0
        self._outage = Outage("The worker's pulse")
        self.steps = 0  # taken so far: whoever watches sees whether one of them does not come back

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
            self._hurry.clear()
            if not self.beat():
                self._finished.wait(REST)
        connection.close()

    def beat(self) -> bool:
        """Everything that is due now, the lease first. False when the rest has to wait for the database."""
        for step in (self._renew, self._tidy, self._make_way, self._report, self._listen, self._share):
            self.steps += 1
            if not self._outage.survived(step):
                return False
        return True

    # -- steps ----------------------------------------------------------------------------------------------------

    def _renew(self) -> None:
        if time.monotonic() >= self._next_renewal:
            self._session.renew()
            self._next_renewal = time.monotonic() + settings.TASKHUB_HEARTBEAT_S

    def _tidy(self) -> None:
        """A handler takes longer than expected: what lies around it must not wait for it."""
        slow = any(running.elapsed > AHEAD for running in list(self._desk.running.values()))
        if slow and self._desk.claim_in_doubt:
            self._desk.find_strays()
        if slow or self._session.ending or not self._session.is_safe:
            self._desk.hand_back()
        if self._desk.outcomes_are_due:
            self._desk.record()

    def _make_way(self) -> None:
        """Tasks lie here for longer than expected: what has become more urgent meanwhile must not wait for them."""
        if self._desk.held_for > AHEAD and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + AHEAD
            if claim.must_wait(self._desk.unstarted()):
                self._desk.hand_back()

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

    def _share(self) -> None:
        if time.monotonic() >= self._next_share:
            durations.share()
            self._next_share = time.monotonic() + settings.TASKHUB_HEARTBEAT_S
