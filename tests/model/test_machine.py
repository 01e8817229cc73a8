"""Any steps in any order: after each of them the tables say what the rules say, and the history holds together.

R14 of the fault tests. Time is the test's own, so that leases run out and tasks become due at random too.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from contextlib import ExitStack
from unittest import mock
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run

from tasks import changes, counts, lifecycle, queues, submit
from tasks.callbacks import settlement
from tasks.changes import Outcome
from tasks.database import uuid7
from tasks.engine import claim, sweeps
from tasks.engine.session import Session as RealSession
from tasks.engine.session import abandon
from tasks.exceptions import Conflict
from tasks.lifecycle import Progress
from tasks.models import Attempt, Task, Worker
from tasks.states import Actions
from tests.chaos.checker import check
from tests.model import rules
from tests.model.clock import Clock
from tests.model.rules import LEASE, Life, Refused, Session, lose, next_for

OF_KIND = {
    "plain": {"name": "test.echo"},
    "async": {"name": "test.async"},
    "callback": {"callback_url": "http://127.0.0.1:9/"},
}
QUEUES = st.sampled_from(["default", "reports"])
ENDS = st.sampled_from([Actions.COMPLETE, Actions.FAIL, Actions.BURY, Actions.SNOOZE, Actions.RELEASE])
SAID_AS = {"complete": "completed", "fail": "failed", "bury": "failed", "snooze": "snoozed", "release": "released"}
BROKEN = {"type": "RuntimeError", "detail": "it broke", "fingerprint": "f" * 16}


KINDS = st.sampled_from([*OF_KIND])
PICK = st.integers(0, 7)
ROLES = st.sampled_from(["plain", "loop"])
VERBS = ["retry", "resurrect", "cancel", "pause", "resume"]
RUNNING_VERBS = st.sampled_from(["cancel", "pause"])
LESS_PATIENCE = (
    (changes, "CHARGED_CRASHES", 2), (changes, "UNCHARGED_RESCUES", 3), (rules, "POISON", 2), (rules, "SUSPICION", 3),
)  # fmt: skip


class Machine(RuleBasedStateMachine):
    """One example is one hub of a few tasks and workers. It leaves nothing behind."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._stack.enter_context(transaction.atomic())
        self.clock = self._stack.enter_context(Clock().installed())
        for module, limit, number in LESS_PATIENCE:
            self._stack.enter_context(mock.patch.object(module, limit, number))
        self.user = get_user_model().objects.create_user("olga")
        self.lives: dict[UUID, Life] = {}
        self.leases: list[tuple[UUID, UUID]] = []  # (task, lease), the newest first
        self.sessions: dict[UUID, Session] = {}
        self.workers: list[RealSession] = []
        self.paused: set[str] = set()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self._stack.close()

    @property
    def now(self) -> dt.datetime:
        return self.clock.now

    def is_held(self, lease: tuple[UUID, UUID]) -> bool:
        return lease[0] in self.lives and self.lives[lease[0]].is_held_by(lease[1])

    # -- tasks and time -------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.lives) < 4)
    @rule(
        kind=KINDS,
        queue=QUEUES,
        priority=st.integers(-1, 1),
        delay=st.sampled_from([0, 0, 4, 40]),
        attempts=st.integers(1, 4),
        timeout=st.sampled_from([10, 300]),
    )
    def submit(self, kind: str, queue: str, priority: int, delay: float, attempts: int, timeout: float) -> None:
        self._submit(kind, queue, priority, delay, attempts, timeout)

    def _submit(
        self,
        kind: str,
        queue: str = "open",
        priority: int = 9,
        delay: float = 0,
        attempts: int = 3,
        timeout: float = 10,
    ) -> None:
        task = submit(
            **OF_KIND[kind], queue=queue, priority=priority, delay=delay or None, max_attempts=attempts,
            timeout=timeout, retry={"jitter": 0},
        )  # fmt: skip
        self.lives[task.pk] = Life(kind, queue, priority, task.run_at, attempts, timeout)

    @rule(seconds=st.sampled_from([0.01, 1, 6, 16, 60]))
    def time_passes(self, seconds: float) -> None:
        self.clock.go_on(seconds)

    # -- workers --------------------------------------------------------------------------------------------------

    def _register(self, role: str) -> RealSession:
        real = RealSession(uuid7(), role)
        self.sessions[real.worker.pk] = Session(role, self.now + LEASE)
        self.workers.append(real)
        return real

    def _worker(self, pick: int, role: str) -> RealSession:
        """One of that role; also one that was declared lost and does not know it yet."""
        found = [worker for worker in self.workers if worker.worker.role == role]
        return found[pick % len(found)] if found and pick < 7 else self._register(role)

    @precondition(lambda self: self.workers)
    @rule(pick=PICK)
    def renew(self, pick: int) -> None:
        worker = self.workers[pick % len(self.workers)]
        session = self.sessions[worker.worker.pk]
        worker.renew()
        assert worker.is_lost == (session.ended is not None)
        if not session.ended:
            session.expires = self.now + LEASE

    @rule(pick=PICK, role=ROLES, limit=st.integers(1, 3))
    def claim(self, pick: int, role: str, limit: int) -> None:
        self._claim(self._worker(pick, role), limit)

    def _claim(self, worker: RealSession, limit: int) -> None:
        session = self.sessions[worker.worker.pk]
        lifecycle.promote()
        if session.role == "plain":
            claimed, limit = claim.plain(worker, claim.Pace()), 1
        else:
            claimed = claim.many(worker, limit)
        if session.ended:  # it finds nothing any more, but may have looked a moment before its end
            assert claimed == []
            claimed = lifecycle.claim(claim.claimable_by(session.role)[:limit], worker.worker)
        expected = [*next_for(session.role, self.now, self.lives, self.paused)]
        assert [task.pk for task in claimed] == expected[:limit]
        for task in claimed:
            self.lives[task.pk].claim(self.now, session, task.present_lease)
            self.leases.insert(0, (task.pk, task.present_lease))

    @rule(kind=KINDS, ends=st.lists(st.tuples(PICK, ENDS), min_size=1, max_size=3), delay=st.sampled_from([0, 7]))
    def end(self, kind: str, ends: list[tuple[int, Actions]], delay: float) -> None:
        """Attempts end as their workers say, in one transaction; each may come too late, or say it again."""
        self._let_run(kind)
        said = {self._lease(pick): action for pick, action in ends}
        outcomes = {lease[0]: self._outcome(*lease, action, delay) for lease, action in said.items()}
        applied = lifecycle.record(outcomes.values(), "worker")
        assert {task.pk for task in applied} == {id for id, outcome in outcomes.items() if self._apply(outcome)}

    def _let_run(self, kind: str) -> None:
        """There is a task of this kind that runs."""
        while not any(life.kind == kind and life.holder for life in self.lives.values()):
            self._submit(kind)
            self._claim(self._worker(0, "plain" if kind == "plain" else "loop"), 3)

    def _lease(self, pick: int) -> tuple[UUID, UUID]:
        present_first = sorted(self.leases, key=self.is_held, reverse=True)
        return present_first[pick % len(present_first)]

    def _outcome(self, task_id: UUID, lease: UUID, action: Actions, delay: float) -> Outcome:
        error = BROKEN if action in (Actions.FAIL, Actions.BURY) else None
        result = {"said by": str(lease)} if action is Actions.COMPLETE else None
        return Outcome(task_id, lease, action, result=result, error=error, delay=delay)

    def _apply(self, outcome: Outcome) -> bool:
        """What the rules make of it. False when it came too late."""
        life = self.lives.get(outcome.task_id)
        if life and life.is_held_by(outcome.lease):
            match outcome.action:
                case Actions.COMPLETE:
                    life.complete(self.now)
                case Actions.FAIL:
                    life.fail(self.now, "RuntimeError", outcome.delay)
                case Actions.BURY:
                    life.bury(self.now, "RuntimeError")
                case _:
                    life.give_back(self.now, SAID_AS[outcome.action], outcome.delay)
            return True
        for attempt in life.tries if life else []:
            if attempt.lease == outcome.lease and attempt.outcome != SAID_AS[outcome.action]:
                attempt.late = str(outcome.action)
        return False

    @rule(kind=KINDS, pick=PICK, percent=st.sampled_from([10.0, 50.0]))
    def report(self, kind: str, pick: int, percent: float) -> None:
        self._let_run(kind)
        lease = self._lease(pick)
        is_held = self.is_held(lease)
        assert bool(lifecycle.report([Progress(*lease, percent, "on the way")], "worker")) == is_held
        assert lifecycle.save_state(*lease, {"percent": percent}) == is_held
        if is_held:
            self.lives[lease[0]].report()

    @rule(pick=PICK)
    def defer(self, pick: int) -> None:
        """The receiver of a callback says that it will answer later."""
        self._let_run("callback")
        self._defer(pick)

    def _defer(self, pick: int) -> None:
        sent = [lease for lease in self.leases if lease[0] in self.lives and self.lives[lease[0]].is_sent]
        lease = sent[pick % len(sent)]
        is_held = self.is_held(lease)
        assert lifecycle.defer(*lease, 20, "worker") == is_held
        if is_held:
            self.lives[lease[0]].defer(self.now, 20)

    # -- the ends of workers --------------------------------------------------------------------------------------

    @rule(kind=KINDS, pick=PICK, after=st.sampled_from([0, 12]))
    def die(self, kind: str, pick: int, after: float) -> None:
        """Its process is seen to be gone, maybe beyond a deadline. Those that hold something come first."""
        self._let_run(kind)
        self.clock.go_on(after)
        self._die(self._busy(pick))

    def _busy(self, pick: int) -> RealSession:
        if not self.workers:  # what runs is held by one that has gone already
            self._register("plain")
        held = Counter(life.holder for life in self.lives.values())
        self.workers.sort(key=lambda worker: -held[self.sessions[worker.worker.pk]])
        return self.workers.pop(pick % len(self.workers))

    def _die(self, worker: RealSession) -> None:
        sweeps.rescue(worker.worker, "The worker's process died.")
        session = self.sessions[worker.worker.pk]
        if not session.ended:
            lose(self.now, session, self.lives.values())

    @precondition(lambda self: self.workers)
    @rule(pick=PICK)
    def stop(self, pick: int) -> None:
        """By itself, with nothing in hand; or ended by its supervisor, which gives back what it held."""
        worker = self._busy(pick)
        session = self.sessions[worker.worker.pk]
        held = [life for life in self.lives.values() if life.holder is session]
        if held:
            assert abandon(worker.worker) == (0 if session.ended else len(held))
        else:
            worker.close()
        if not session.ended:
            session.ended = "stopped"
            for life in held:
                life.give_back(self.now, "released")

    # -- operators ------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.lives)
    @rule(pick=PICK, verb=PICK)
    def operate(self, pick: int, verb: int) -> None:
        task, life = [*self.lives.items()][pick % len(self.lives)]
        allowed_first = sorted(VERBS, key=lambda name: not life.allows(name, self.now))
        self._operate(task, allowed_first[verb % len(VERBS)])

    @rule(kind=KINDS, verb=RUNNING_VERBS)
    def operate_on_what_runs(self, kind: str, verb: str) -> None:
        self._let_run(kind)
        self._operate(next(id for id, life in self.lives.items() if life.holder and life.kind == kind), verb)

    @rule(verb=RUNNING_VERBS)
    def operate_on_what_a_receiver_does(self, verb: str) -> None:
        self._let_run("callback")
        self._defer(0)
        if deferred := [id for id, life in self.lives.items() if life.deferred_until]:
            self._operate(deferred[0], verb)

    def _operate(self, task: UUID, verb: str) -> None:
        try:
            getattr(self.lives[task], verb)(self.now)
        except Refused:
            with pytest.raises(Conflict):
                getattr(lifecycle, verb)(task, "olga")
        else:
            getattr(lifecycle, verb)(task, "olga")

    @rule(queue=QUEUES, pause=st.booleans())
    def switch(self, queue: str, pause: bool) -> None:
        verb = queues.pause if pause else queues.resume
        assert verb(queue, self.user) == ((queue in self.paused) != pause)
        (self.paused.add if pause else self.paused.discard)(queue)

    # -- what any worker does for all -----------------------------------------------------------------------------

    @rule(step=st.sampled_from(["rescue_expired", "rescue_stranded", "end_overdue", "prune", "fold"]))
    def sweep(self, step: str) -> None:
        getattr(self, f"_{step}")()

    def _rescue_expired(self) -> None:
        watch = sweeps.LeaseWatch()
        watch.may_judge = lambda now: True  # type: ignore[method-assign]  # it has been watching for long enough
        watch.rescue_expired()
        for session in self.sessions.values():
            if not session.ended and session.expires < self.now:
                lose(self.now, session, self.lives.values())

    def _rescue_stranded(self) -> None:
        stranded = [life for life in self.lives.values() if life.holder and life.holder.ended]
        assert sweeps.rescue_stranded() == len(stranded)
        for life in stranded:
            life.rescue(self.now, charged=False)

    def _end_overdue(self) -> None:
        overdue = [life for life in self.lives.values() if life.deferred_until and life.deferred_until <= self.now]
        assert settlement.end_overdue() == len(overdue)
        for life in overdue:
            life.fail(self.now, "DeadlineExceeded")

    def _prune(self) -> None:
        """Two of what has been over for half a minute, and is no dead letter."""
        before = self.now - dt.timedelta(seconds=30)
        over = {id for id, life in self.lives.items() if life.is_expired(before)}
        pruned = lifecycle.prune(Task.objects.expired(before), 2)
        gone = self.lives.keys() - set(Task.objects.values_list("pk", flat=True))
        assert gone <= over
        assert len(gone) == pruned == min(2, len(over))
        for id in gone:
            del self.lives[id]
            with pytest.raises(Task.DoesNotExist):
                lifecycle.cancel(id, "olga")

    def _fold(self) -> None:
        before = counts.totals()
        counts.fold()
        assert counts.totals() == before

    # -- what must hold -------------------------------------------------------------------------------------------

    @invariant()
    def the_tables_follow_the_rules(self) -> None:
        self._check_tasks()
        self._check_attempts()
        self._check_sessions()
        verdict = check()
        assert verdict.is_clean, verdict

    def _check_tasks(self) -> None:
        rows = Task.objects.in_bulk()
        assert rows.keys() == self.lives.keys()
        for id, life in self.lives.items():
            assert seen(rows[id]) == self._foreseen(life)

    def _foreseen(self, life: Life) -> dict[str, object]:
        holder = next((id for id, session in self.sessions.items() if session is life.holder), None)
        return {
            "status": life.status, "requested": life.requested, "version": life.version,
            "attempt": life.attempt, "tries": len(life.tries), "crashes": life.crashes, "rescues": life.rescues,
            "run_at": life.run_at, "finished_at": life.finished_at, "deferred_until": life.deferred_until,
            "worker": holder, "lease": life.present.lease if life.status == "processing" else None,
            "error": life.error, "result": life.status == "completed" and str(life.present.lease),
        }  # fmt: skip

    def _check_attempts(self) -> None:
        rows = Attempt.objects.order_by("number").values_list("task", "number", "lease", "outcome", "late__action")
        ended = [
            (id, number, attempt.lease, attempt.outcome, attempt.late)
            for id, life in self.lives.items()
            for number, attempt in enumerate(life.tries, 1)
            if attempt.outcome
        ]
        assert sorted(rows, key=str) == sorted(ended, key=str)

    def _check_sessions(self) -> None:
        for worker in Worker.objects.all():
            ended = "stopped" if worker.stopped_at else "lost" if worker.lost_at else None
            assert (ended, worker.expires_at) == (self.sessions[worker.pk].ended, self.sessions[worker.pk].expires)


def seen(task: Task) -> dict[str, object]:
    return {
        "status": task.status, "requested": task.requested, "version": task.version,
        "attempt": task.attempt, "tries": task.tries, "crashes": task.crashes, "rescues": task.rescues,
        "run_at": task.run_at, "finished_at": task.finished_at, "deferred_until": task.deferred_until,
        "worker": task.worker_id, "lease": task.lease,
        "error": task.error and task.error["type"], "result": bool(task.result) and task.result["said by"],
    }  # fmt: skip


BUDGET = settings(
    max_examples=15, stateful_step_count=40, deadline=None, derandomize=True, database=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.mark.usefixtures("every_database")
def test_the_tables_follow_the_rules():
    run(Machine, settings=BUDGET)


@pytest.mark.chaos
@pytest.mark.full
@pytest.mark.usefixtures("every_database")
def test_the_tables_follow_the_rules_for_long():
    run(Machine, settings=settings(BUDGET, max_examples=1500, stateful_step_count=50, derandomize=False))
