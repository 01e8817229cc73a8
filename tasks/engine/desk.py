"""What one worker has in its hands: tasks claimed and not yet started, those that run, outcomes not yet written.

The thread that runs handlers and the pulse share it. Whoever takes something from the desk is the one to write it.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tasks import durations, failpoints, lifecycle, logs
from tasks.changes import Outcome
from tasks.database import joining
from tasks.engine.context import Context, Reports
from tasks.lifecycle import Progress
from tasks.models import Task, Worker
from tasks.states import Actions

RESULTS_WAIT = 0.02  # seconds that an outcome may lie here while more are made


@dataclass(slots=True, eq=False)
class Running:
    """A task whose handler runs. Moments are of the monotonic clock."""

    task: Task
    context: Context
    began: float = field(default_factory=time.monotonic)
    canceled_at: float | None = None  # when the cancel was first seen here
    force: Callable[[str], None] = lambda reason: None  # end it now, without a checkpoint

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began


class Desk:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._name = str(worker)
        self._lock = threading.Lock()
        self._unstarted: deque[Task] = deque()
        self._put_at = 0.0
        self._outcomes: list[Outcome] = []
        self._oldest = 0.0
        self._doubtful: list[Task] = []  # claimed, if that was committed, which nobody could confirm
        self.running: dict[uuid.UUID, Running] = {}

    def put(self, tasks: Iterable[Task]) -> None:
        """Claimed tasks, in the order in which they are to start."""
        with self._lock:
            self._unstarted.extend(tasks)
            self._put_at = time.monotonic()

    def start(self) -> Running | None:
        """The next task to run, None when there is none."""
        with self._lock:
            if not self._unstarted:
                return None
            task = self._unstarted.popleft()
            running = self.running[task.pk] = Running(task, Context(task))
            return running

    def end(self, running: Running, outcome: Outcome) -> None:
        """The attempt has ended. Its last reports are written first, for after the outcome nobody would take them."""
        if running.context.has_reports:
            self.write([(running, running.context.take_reports())])
        self._lay_down(outcome)
        self.forget(running)
        if outcome.action is Actions.COMPLETE and running.task.tries == 1 and not running.task.is_callback:
            durations.note(running.task.name, running.elapsed)

    def forget(self, running: Running) -> None:
        """The attempt goes on without this worker."""
        self.running.pop(running.task.pk, None)

    def unstarted(self) -> list[Task]:
        with self._lock:
            return list(self._unstarted)

    def hand_back(self) -> int:
        """Return what is claimed and not started, for others to take; no attempt is used. Returns how many."""
        with self._lock:
            unstarted = list(self._unstarted)
            self._unstarted.clear()
        for task in unstarted:
            self._lay_down(Outcome(task.pk, task.present_lease, Actions.RELEASE))
        return len(unstarted)

    def _lay_down(self, outcome: Outcome) -> None:
        with self._lock:
            if not self._outcomes:
                self._oldest = time.monotonic()
            self._outcomes.append(outcome)

    @property
    def is_busy(self) -> bool:
        """Whether something lies here that must not lie for long."""
        return bool(self._unstarted or self._outcomes or self._doubtful)

    @property
    def claim_in_doubt(self) -> bool:
        return bool(self._doubtful)

    @property
    def outcomes_are_due(self) -> bool:
        return bool(self._outcomes) and time.monotonic() - self._oldest >= RESULTS_WAIT

    @property
    def held_for(self) -> float:
        """The seconds for which tasks have been lying here unstarted."""
        return time.monotonic() - self._put_at if self._unstarted else 0.0

    # -- writing --------------------------------------------------------------------------------------------------

    def exchange(self, claim: Callable[[], list[Task]]) -> list[Task]:
        """Write the outcomes that lie here and claim new tasks in the same transaction; these lie here then.

        All or nothing. For one thread alone: the one that claims.
        """
        self.find_strays()
        claimed: list[Task] = []

        def note() -> list[Task]:
            claimed[:] = claim()
            return claimed

        try:
            self._settle(note)
            if claimed:
                failpoints.reach("claim.committed")
        except BaseException:
            with self._lock:
                self._doubtful += claimed
            raise
        self.put(claimed)
        return claimed

    def find_strays(self) -> None:
        """A claim may have been committed although nobody could confirm it: then these tasks bear its lease.

        As long as its transaction may still end, it keeps them locked; so what is locked stays in doubt.
        """
        with self._lock:
            doubtful, self._doubtful = self._doubtful, []
        try:
            committed, doubtful = _settled(doubtful) if doubtful else ([], [])
        finally:
            with self._lock:
                self._doubtful += doubtful
        self.put(committed)

    def record(self) -> None:
        """Write the outcomes that lie here. What cannot be written stays."""
        self._settle(list)

    def _settle(self, claim: Callable[[], list[Task]]) -> list[Task]:
        with self._lock:
            outcomes, self._outcomes = self._outcomes, []
        try:
            if outcomes:
                failpoints.reach("record.begin")
            tasks = self._transact(outcomes, claim)
            if outcomes:
                failpoints.reach("record.committed")
            return tasks
        except BaseException:
            with self._lock:
                self._outcomes[:0] = outcomes
            raise

    @joining
    def _transact(self, outcomes: list[Outcome], claim: Callable[[], list[Task]]) -> list[Task]:
        if outcomes:
            lifecycle.record(outcomes, self._name)
            failpoints.reach("record.written")
        return claim()

    def clear(self) -> None:
        """At the end: give back what was not started and write the outcomes."""
        self.find_strays()
        self.hand_back()
        self.record()

    def report(self) -> None:
        """Write what the running handlers have reported since the last time."""
        self.write([(running, running.context.take_reports()) for running in list(self.running.values())])

    def write(self, reports: Sequence[tuple[Running, Reports]]) -> None:
        """All of it or nothing; what cannot be written is kept for the next time."""
        try:
            if any(said for _, said in reports):
                self._store(reports)
        except BaseException:
            for running, said in reports:
                running.context.put_back(said)
            raise

    @joining
    def _store(self, reports: Sequence[tuple[Running, Reports]]) -> None:
        lifecycle.report(
            [
                Progress(running.task.pk, running.task.present_lease, *said.progress, said.left)
                for running, said in reports
                if said.progress
            ],
            self._name,
        )
        for running, said in reports:
            if said.lines:
                logs.append(running.task, said.lines)
            if said.state is not None:
                lifecycle.save_state(running.task.pk, running.task.present_lease, said.state)
        failpoints.reach("report.written")


@joining
def _settled(claimed: list[Task]) -> tuple[list[Task], list[Task]]:
    """Of these claims those that were committed, and those of which nobody can tell yet. The others came to nothing."""
    rows = Task.objects.filter(pk__in=[task.pk for task in claimed])
    free = dict(rows.select_for_update(skip_locked=True).values_list("pk", "lease"))
    locked = set(rows.values_list("pk", flat=True)) - free.keys()
    return [task for task in claimed if free.get(task.pk) == task.lease], [
        task for task in claimed if task.pk in locked
    ]
