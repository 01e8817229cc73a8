"""What CONTRACT.md says of a task's life, once more and without a database. It shares no code with the hub.

A verb that the state does not allow raises `Refused` and changes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from uuid import UUID

POISON, SUSPICION = 3, 10  # charged and uncharged rescues
LEASE = dt.timedelta(seconds=15)


class Refused(Exception):
    pass


@dataclass(eq=False)
class Try:
    lease: UUID
    outcome: str = ""  # none while it runs
    late: str | None = None  # what its worker did after it had lost the lease


@dataclass(eq=False)
class Session:
    """A worker. It may hold tasks for as long as it is neither stopped nor lost."""

    role: str
    expires: dt.datetime
    ended: str | None = None


@dataclass(eq=False)
class Life:
    """One task. Verbs take the database's time first."""

    kind: str  # plain, async or callback
    queue: str
    priority: int
    run_at: dt.datetime
    max_attempts: int
    timeout: float
    status: str = "pending"
    requested: str | None = None
    version: int = 1
    attempt: int = 0
    crashes: int = 0
    rescues: int = 0
    tries: list[Try] = field(default_factory=list)
    holder: Session | None = None
    deferred_until: dt.datetime | None = None
    started_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None
    error: str | None = None

    # -- what can be said of it -----------------------------------------------------------------------------------

    @property
    def present(self) -> Try:
        return self.tries[-1]

    def is_held_by(self, lease: UUID) -> bool:
        return self.status == "processing" and self.present.lease == lease

    @property
    def is_sent(self) -> bool:
        """Whether it is a callback whose request is on the way."""
        return self.kind == "callback" and self.status == "processing" and not self.deferred_until

    def is_due(self, now: dt.datetime) -> bool:
        return self.status in ("pending", "failed") and self.run_at <= now

    def is_expired(self, before: dt.datetime) -> bool:
        """Whether it has been over since then. Dead letters wait for somebody."""
        return self.finished_at is not None and self.finished_at < before and self.status != "dead_lettered"

    def allows(self, verb: str, now: dt.datetime) -> bool:
        try:
            getattr(deepcopy(self), verb)(now)
        except Refused:
            return False
        return True

    @property
    def role(self) -> str:
        """Which workers may take it. Code that may be a culprit runs alone."""
        is_culprit = self.kind == "async" and (self.crashes > 0 or self.rescues > 1)
        return "plain" if self.kind == "plain" or is_culprit else "loop"

    def _is_overdue(self, now: dt.datetime) -> bool:
        return self.started_at is not None and now - self.started_at >= dt.timedelta(seconds=self.timeout)

    # -- the engine -----------------------------------------------------------------------------------------------

    def claim(self, now: dt.datetime, holder: Session, lease: UUID) -> None:
        self._step("processing")
        self.attempt += 1
        self.tries.append(Try(lease))
        self.holder, self.started_at = holder, now

    def complete(self, now: dt.datetime) -> None:
        """It wins over what was requested."""
        self.error = None
        self._finish(now, "completed", "completed")

    def fail(self, now: dt.datetime, error: str, delay: float = 0) -> None:
        if self._yields(now):
            return
        self.error = error
        if self.attempt == self.max_attempts:
            self._finish(now, "dead_lettered", "failed")
        else:
            self.run_at = now + dt.timedelta(seconds=max(5 * 2 ** (self.attempt - 1), delay))
            self._leave("failed", "failed")

    def bury(self, now: dt.datetime, error: str) -> None:
        if not self._yields(now):
            self.error = error
            self._finish(now, "dead_lettered", "failed")

    def give_back(self, now: dt.datetime, outcome: str, delay: float = 0) -> None:
        """Snoozed or released: no attempt is used."""
        if not self._yields(now):
            self.attempt -= 1
            self.run_at = now + dt.timedelta(seconds=delay)
            self._leave("pending", outcome)

    def rescue(self, now: dt.datetime, charged: bool) -> None:
        """Its worker is lost. Charged: it was the only one that the worker held, and runs code of a user's."""
        if self._yields(now):
            return
        if charged and self._is_overdue(now):
            self.fail(now, "DeadlineExceeded")
            self.present.outcome = "lost"
            return
        self.crashes += charged
        self.rescues += not charged
        for is_fatal, error in (
            (self.crashes >= POISON, "Poison"),
            (self.rescues >= SUSPICION, "suspected_poison"),
            (charged and self.attempt == self.max_attempts, "WorkerLost"),
        ):
            if is_fatal:
                self.error = error
                self._finish(now, "dead_lettered", "lost")
                return
        self.attempt -= not charged
        self.run_at = now
        self._leave("pending", "lost")

    def report(self) -> None:
        self.version += 1

    def defer(self, now: dt.datetime, seconds: float) -> None:
        """The receiver answers later. Nobody is left to hear of a cancel, so it acts at once."""
        if self.requested == "cancel":
            self._finish(now, "canceled", "canceled")
            return
        self.holder, self.deferred_until = None, now + dt.timedelta(seconds=seconds)
        self.version += 1

    # -- operators ------------------------------------------------------------------------------------------------

    def retry(self, now: dt.datetime) -> None:
        self._allow("failed")
        self.run_at = now
        self._step("pending")

    def resurrect(self, now: dt.datetime) -> None:
        self._allow("dead_lettered", "canceled")
        self.attempt = self.crashes = self.rescues = 0
        self.run_at, self.finished_at, self.error = now, None, None
        self._step("pending")

    def cancel(self, now: dt.datetime) -> None:
        if self.status == "processing" and not self.deferred_until:
            self._request("cancel")
        elif self.status == "processing":
            self._finish(now, "canceled", "canceled")
        else:
            self._allow("pending", "failed", "paused")
            self.finished_at = now
            self._step("canceled")

    def pause(self, now: dt.datetime) -> None:
        if self.deferred_until:
            raise Refused
        if self.status == "processing":
            self._request("pause")
        else:
            self._allow("pending", "failed")
            self._step("paused")

    def resume(self, now: dt.datetime) -> None:
        self._allow("paused")
        self._step("pending")

    def _request(self, what: str) -> None:
        if self.requested in ("cancel", what):
            raise Refused
        self.requested = what
        self.version += 1

    # -- steps ----------------------------------------------------------------------------------------------------

    def _allow(self, *states: str) -> None:
        if self.status not in states:
            raise Refused

    def _step(self, status: str) -> None:
        self.status = status
        self.version += 1

    def _leave(self, status: str, outcome: str) -> None:
        self.present.outcome = outcome
        self.holder = self.requested = self.deferred_until = None
        self._step(status)

    def _finish(self, now: dt.datetime, status: str, outcome: str) -> None:
        self.finished_at = now
        self._leave(status, outcome)

    def _yields(self, now: dt.datetime) -> bool:
        """Any end but completion leads to where an operator wanted the task to be."""
        if self.requested == "cancel":
            self._finish(now, "canceled", "canceled")
        elif self.requested == "pause":
            self.attempt -= 1
            self._leave("paused", "paused")
        else:
            return False
        return True


def next_for(role: str, now: dt.datetime, lives: dict[UUID, Life], paused: Iterable[str]) -> Iterator[UUID]:
    """What a worker of `role` may take, in the order in which it is to take it."""
    due = [(-life.priority, life.run_at, id) for id, life in lives.items() if life.is_due(now) and life.role == role]
    return (id for _, _, id in sorted(due) if lives[id].queue not in paused)


def lose(now: dt.datetime, session: Session, lives: Iterable[Life]) -> None:
    """A worker is declared lost: for good, and nobody may hold what it held."""
    session.ended = "lost"
    held = [life for life in lives if life.holder is session]
    for life in held:
        life.rescue(now, charged=len(held) == 1 and life.kind != "callback")
