"""The worker that runs `def` handlers: one after the other, in the main thread, where a deadline can reach them.

Under backlog one transaction writes the outcomes of the last tasks and claims the next ones.
"""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial

from tasks import failpoints, hints, lifecycle
from tasks.engine import attempt, claim
from tasks.engine.claim import Pace
from tasks.engine.deadline import Alarm
from tasks.engine.desk import Desk, Running
from tasks.engine.endurance import Budget, patiently
from tasks.engine.pulse import Pulse
from tasks.engine.session import Session
from tasks.engine.watchdog import Watchdog
from tasks.models import Task, Worker

PROMOTE = 0.2  # seconds between two looks for what has become due, under backlog


class PlainWorker:
    def __init__(self, session: Session, desk: Desk, pulse: Pulse, watchdog: Watchdog) -> None:
        self._session, self._desk, self._pulse, self._watchdog = session, desk, pulse, watchdog
        self._alarm = Alarm()
        self._pace = Pace()
        self._budget = Budget()
        self._promoted = 0.0

    def run(self) -> None:
        """Work until the session ends or this process has had its time."""
        with closing(hints.listen(hints.WORK)) as listener:
            while self._goes_on():
                if not patiently(self._turn, self._goes_on) and self._goes_on():
                    self._session.is_idle = True
                    listener.wait(patiently(claim.seconds_until_due, self._goes_on) or claim.SAFETY)
                    self._session.is_idle = False
        patiently(self._desk.clear, lambda: not self._session.is_lost)

    def _goes_on(self) -> bool:
        return not self._session.ending and not self._budget.is_spent

    def _turn(self) -> bool:
        """Claim and run what may be claimed at once. False when there is nothing to do."""
        if not self._desk.is_busy and not claim.is_waiting(Worker.Roles.PLAIN):
            return False
        self._promote()
        if not self._session.is_safe:
            return False
        tasks = self._desk.exchange(self._claim)
        if len(tasks) > 1:
            self._pulse.hurry()
        with self._alarm.listening():
            while running := self._next():
                self._run(running)
        return bool(tasks)

    def _claim(self) -> list[Task]:
        """Not if it was told to stop while it wrote the outcomes that came before."""
        return claim.plain(self._session, self._pace) if self._goes_on() else []

    def _next(self) -> Running | None:
        """The next task that may still be started. Without a safe lease none may, and all go back."""
        if self._session.ending or not self._session.is_safe:
            self._desk.hand_back()
        return self._desk.start()

    def _run(self, running: Running) -> None:
        running.force = partial(self._alarm.force, running.context)
        with self._watchdog.guard(running):
            failpoints.reach("run.begin")
            outcome = attempt.run(running.task, running.context, self._alarm)
        failpoints.reach("run.end")
        self._pace.note(running.task.name, outcome.elapsed)
        patiently(partial(self._desk.end, running, outcome), lambda: not self._session.is_lost)
        if self._desk.outcomes_are_due:
            patiently(self._desk.record, lambda: not self._session.is_lost)

    def _promote(self) -> None:
        if time.monotonic() - self._promoted >= PROMOTE:
            lifecycle.promote()
            self._promoted = time.monotonic()
