"""Three workers in virtual time, under every fault that chance has in store. A seed says everything that happens.

Real are the database, the verbs, sessions, desks, claims and sweeps. Played are time, processes and handlers: a process
may die or lose its database at each of the hub's failpoints, freeze for longer than its lease, and measure time badly.
"""

from __future__ import annotations

import datetime as dt
import heapq
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from types import SimpleNamespace
from unittest import mock

import uuid_utils.compat
from django.db import OperationalError

from tasks import counts, failpoints, hints, lifecycle, submit
from tasks.changes import Outcome
from tasks.database import uuid7
from tasks.engine import claim, desk, session, sweeps
from tasks.engine.desk import Desk, Running
from tasks.engine.session import Session
from tasks.exceptions import Conflict
from tasks.models import Task
from tasks.states import FINISHED, Actions
from tests.chaos.checker import Verdict, check
from tests.chaos.evidence import Run
from tests.model.clock import Clock

WORKERS = ["plain", "plain", "loop"]
ENDS = [*[Actions.COMPLETE] * 15, Actions.FAIL, Actions.FAIL, Actions.SNOOZE, Actions.RELEASE, Actions.BURY]
VERBS = ["cancel", "cancel", "pause", "resume", "resume", "retry", "resurrect"]
BROKEN = {"type": "RuntimeError", "detail": "it broke", "fingerprint": "f" * 16}
PATIENCE = 4000.0  # virtual seconds in which everything must be over once the faults have ended


class Death(BaseException):
    """The process at work ends here, as by SIGKILL."""


class Process:
    """One worker's process. Its own clock runs fast or slow, from a moment of its own."""

    def __init__(self, world: World, place: int) -> None:
        self.place = place
        self.drift, self.skew = world.chance.uniform(0.95, 1.05), world.chance.uniform(-300, 300)
        self.thaws = 0.0
        self.is_dead = self.is_asleep = False
        self.turn: Callable[[], None] = lambda: None
        self.naps = 0  # a nap that was cut short must not end twice


class World:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.clock = Clock()
        self.seconds = 0.0
        self._began = self.clock.now
        self.steps = 0
        self.has_faults = True
        self.trace: list[str] = []
        self.acked: list[uuid.UUID] = []
        self.runs: list[Run] = []
        self._needs: dict[uuid.UUID, float] = {}  # seconds of work
        self.sessions: dict[int, Session] = {}
        self._dead: set[uuid.UUID] = set()  # whose death can be seen from elsewhere
        self._processes: dict[int, Process] = {}
        self._agenda: list[tuple[float, int, Process | None, Callable[[], None]]] = []
        self._ids = 0
        self._at_work: Process | None = None

    def run(self, seconds: float) -> Verdict:
        """Faults, submissions and operators for so long; then everything comes to its end."""
        with self._installed():
            for place in range(len(WORKERS)):
                self._at(0, None, partial(self._start, place))
            for play in (self._submit, self._operate, self._hurt):
                self._at(0, None, play)
            self._play(lambda: self.seconds >= seconds)
            self.has_faults = False
            self._play(lambda: not self._left())
            return check(self.acked, self.runs)

    def _left(self) -> int:
        for task in Task.objects.filter(status="paused"):
            lifecycle.resume(task.pk, "olga")
        left = Task.objects.exclude(status__in=FINISHED).count()
        assert left == 0 or self.seconds < self._ends, f"{left} tasks are not over after {PATIENCE:g} s without faults"
        return left

    def _play(self, is_over: Callable[[], bool]) -> None:
        self._ends = self.seconds + PATIENCE
        while self.steps % 20 or not is_over():
            self._step()

    # -- time -----------------------------------------------------------------------------------------------------

    def _at(self, wait: float, process: Process | None, work: Callable[[], None]) -> None:
        self.steps += 1
        heapq.heappush(self._agenda, (self.seconds + wait, self.steps, process, work))

    def _step(self) -> None:
        at, _, process, work = heapq.heappop(self._agenda)
        self.seconds = at
        self.clock.now = self._began + dt.timedelta(milliseconds=round(at * 1000))
        if process and process.is_dead:
            return
        if process and self.seconds < process.thaws:
            self._at(process.thaws - self.seconds, process, work)
            return
        self._at_work = process
        try:
            work()
        except Death:
            assert process
            self._bury(process)
        except OperationalError:  # the hub's own patience: the same once more
            self._at(0.5, process, work)
        finally:
            self._at_work = None

    def monotonic(self) -> float:
        process = self._at_work
        return self.seconds * process.drift + process.skew if process else self.seconds

    # -- faults ---------------------------------------------------------------------------------------------------

    def _reach(self, point: str) -> None:
        if self._at_work and self.has_faults:
            fate = self.chance.random()
            if fate < 0.004:
                self._note(f"dies at {point}")
                raise Death
            if fate < 0.012 and not point.startswith("publish"):
                self._note(f"has no database at {point}")
                raise OperationalError(point)

    def _hurt(self) -> None:
        """Some process freezes, or is killed between two steps."""
        if not self.has_faults:
            return
        process = self._processes.get(self.chance.randrange(len(WORKERS)))
        if process and not process.is_dead:
            if self.chance.random() < 0.2:
                self._bury(process)
            else:
                process.thaws = self.seconds + self.chance.choice([1, 6, 12, 25, 40])
                self._note(f"freezes for {process.thaws - self.seconds:g} s", process)
        self._at(self.chance.uniform(2, 12), None, self._hurt)

    def _bury(self, process: Process) -> None:
        process.is_dead = True
        self._note("is dead", process)
        if ended := self.sessions.pop(process.place, None):
            self._dead |= {ended.worker.pk} if self.chance.random() < 0.5 else set()
        self._at(self.chance.uniform(0.5, 5), None, partial(self._start, process.place))

    def _hint(self) -> None:
        for process in self._processes.values():
            if process.is_asleep and (not self.has_faults or self.chance.random() < 0.6):
                self._nap(process, 0.02)

    # -- who asks -------------------------------------------------------------------------------------------------

    def _submit(self) -> None:
        if self.has_faults:
            chance = self.chance
            task = submit(
                chance.choice(["test.echo", "test.echo", "test.async"]), {},
                priority=chance.randint(-1, 1), queue=chance.choice(["default", "reports"]),
                delay=chance.choice([None, None, None, 5]), max_attempts=chance.randint(1, 5),
            )  # fmt: skip
            self.acked.append(task.pk)
            self._needs[task.pk] = chance.choice([0.01, 0.1, 0.5, 1, 20])
            self._at(chance.expovariate(0.8), None, self._submit)

    def _operate(self) -> None:
        if self.has_faults:
            if self.acked:
                verb = self.chance.choice(VERBS)
                with suppress(Conflict):
                    getattr(lifecycle, verb)(self.chance.choice(self.acked[-20:]), "olga")
            self._at(self.chance.expovariate(0.5), None, self._operate)

    # -- a worker -------------------------------------------------------------------------------------------------

    def _start(self, place: int) -> None:
        process = self._at_work = self._processes[place] = Process(self, place)
        ours = self.sessions[place] = Session(uuid7(), WORKERS[place])
        lies = Desk(ours.worker)
        watch = sweeps.LeaseWatch()
        pace = claim.Pace()
        beats = partial(self._beat, process, ours, lies, [self.monotonic()])
        turns = process.turn = partial(self._turn, process, ours, lies, pace)
        for work in (beats, partial(self._sweep, process, watch), turns):
            self._at(0, process, work)
        self._note("starts")

    def _turn(self, process: Process, ours: Session, lies: Desk, pace: claim.Pace) -> None:
        """As the workers do: record, claim, start; and sleep when there is nothing."""
        process.is_asleep = False
        if ours.is_lost:
            self._leave(process, lies)
            return
        if ours.is_safe and (lies.is_busy or claim.is_waiting(ours.worker.role)):
            take = (
                partial(claim.plain, ours, pace) if WORKERS[process.place] == "plain" else partial(claim.many, ours, 5)
            )
            lies.exchange(take)
        started = self._start_next(process, ours, lies, pace)
        if WORKERS[process.place] == "loop" or not started:
            process.is_asleep = True
            self._nap(process, max(claim.seconds_until_due(), 0.01))

    def _start_next(self, process: Process, ours: Session, lies: Desk, pace: claim.Pace) -> bool:
        if not ours.is_safe:
            lies.hand_back()
        while running := lies.start():
            self._begin(process, ours, lies, pace, running)
            if WORKERS[process.place] == "plain":
                return True
        return False

    def _begin(self, process: Process, ours: Session, lies: Desk, pace: claim.Pace, running: Running) -> None:
        task = running.task
        held = Task.objects.filter(pk=task.pk, lease=task.lease).exists()
        assert held, f"{self._name(task.pk)} is started by a worker whose lease of it is gone"
        seconds = self._needs[task.pk] * self.chance.uniform(0.7, 1.3)
        self.runs.append(
            Run(task.pk, task.attempt, task.tries, uuid.UUID(int=len(self.runs)).hex, process.place, self.seconds, None)
        )
        self._note(f"runs {self._name(task.pk)} for the {task.tries}. time")
        ending = partial(self._end, process, ours, lies, pace, running, self._outcome(task), seconds)
        self._at(seconds, process, ending)

    def _outcome(self, task: Task) -> Outcome:
        action = self.chance.choice(ENDS)
        result = {"run": self.runs[-1].run} if action is Actions.COMPLETE else None
        error = BROKEN if action in (Actions.FAIL, Actions.BURY) else None
        return Outcome(task.pk, task.present_lease, action, result=result, error=error)

    def _end(
        self,
        process: Process,
        ours: Session,
        lies: Desk,
        pace: claim.Pace,
        running: Running,
        outcome: Outcome,
        took: float,
    ) -> None:
        self._reach("run.end")
        pace.note(running.task.name, took)
        lies.end(running, outcome)
        self._note(f"ends {self._name(outcome.task_id)} by {outcome.action}")
        if not (WORKERS[process.place] == "plain" and self._start_next(process, ours, lies, pace)):
            self._nap(process, 0)

    def _beat(self, process: Process, ours: Session, lies: Desk, renewed: list[float]) -> None:
        """As the pulse does."""
        self._at(0.5, process, partial(self._beat, process, ours, lies, renewed))
        with suppress(OperationalError):
            self._reach("report.written")
            if self.monotonic() - renewed[0] >= 5:
                ours.renew()
                renewed[0] = self.monotonic()
            if lies.running or not ours.is_safe:
                lies.hand_back()
            if lies.outcomes_are_due:
                lies.record()

    def _sweep(self, process: Process, watch: sweeps.LeaseWatch) -> None:
        self._at(self.chance.uniform(0.8, 1.6), process, partial(self._sweep, process, watch))
        for step in (sweeps.rescue_dead, watch.rescue_expired, sweeps.rescue_stranded, counts.fold):
            with suppress(OperationalError):
                step()

    def _leave(self, process: Process, lies: Desk) -> None:
        """Who was declared lost says its last words, and ends."""
        lies.clear()
        self._note("was lost, and leaves", process)
        process.is_dead = True
        self._at(0.5, None, partial(self._start, process.place))

    def _nap(self, process: Process, seconds: float) -> None:
        process.naps += 1
        self._at(seconds, process, partial(self._wake, process, process.naps))

    def _wake(self, process: Process, nap: int) -> None:
        if process.naps == nap:
            process.turn()

    # -- the stage ------------------------------------------------------------------------------------------------

    def _note(self, what: str, process: Process | None = None) -> None:
        process = process or self._at_work
        self.trace.append(f"{self.seconds:9.3f} worker {process.place if process else '-'} {what}")

    def _name(self, task_id: uuid.UUID) -> str:
        return f"task {self.acked.index(task_id)}"

    def _uuid7(self) -> uuid.UUID:
        self._ids += 1
        return uuid.UUID(int=(int(self.clock.now.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62) | self._ids)

    @contextmanager
    def _installed(self) -> Iterator[None]:
        time = SimpleNamespace(monotonic=self.monotonic)
        before = random.getstate()
        random.seed(self.chance.random())  # the retries' jitter
        with ExitStack() as stack:
            stack.enter_context(self.clock.installed())
            for place, name, ours in (
                (session, "time", time), (desk, "time", time), (failpoints, "reach", self._reach),
                (hints, "send", self._hint), (uuid_utils.compat, "uuid7", self._uuid7),
                (sweeps, "is_dead", lambda worker: worker.pk in self._dead),
            ):  # fmt: skip
                stack.enter_context(mock.patch.object(place, name, ours))
            yield
        random.setstate(before)
