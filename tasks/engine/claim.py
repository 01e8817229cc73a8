"""Which tasks a worker takes, and how many at once."""

from __future__ import annotations

import datetime as dt
import functools
import uuid
from collections.abc import Iterable
from functools import partial
from typing import Any

from django.db import connection
from django.db.models import CharField, Exists, F, Func, Q, QuerySet

from tasks import lifecycle, registry
from tasks.database import asked_now
from tasks.engine.session import Session, live
from tasks.models import Queue, Task, Worker
from tasks.models.tasks import CALLBACK
from tasks.rows import execute, one_trip, read, select

AHEAD = 0.1  # seconds of work that a worker may hold unstarted
BATCH = 100  # tasks
SAFETY = 1.0  # seconds after which an idle worker looks even without a hint
SUSPECTS = 50  # of them the event loop runs so many at once
MEMORY = 0.2  # the weight of the last run in a handler's mean

Known = tuple[tuple[str, ...], ...]  # the names of the tasks that can be run, by role
# Until its statistics say how long a backlog is, PostgreSQL would read and sort all of it for each claim.
BY_INDEX = {"postgresql": "SET LOCAL enable_sort = off", "sqlite": None}


class Pace:
    """How long each handler has taken lately, in seconds."""

    def __init__(self) -> None:
        self._means: dict[str, float] = {}

    def note(self, name: str, seconds: float) -> None:
        mean = self._means.get(name, seconds)
        self._means[name] = mean + MEMORY * (seconds - mean)

    def expected(self, name: str) -> float:
        """Unknown is long: what has never run is claimed alone."""
        return self._means.get(name, AHEAD)

    @property
    def batch(self) -> int:
        """How many of the quickest tasks fill the time that may be held ahead."""
        quickest = min(self._means.values(), default=AHEAD)
        return max(1, min(BATCH, int(AHEAD / max(quickest, AHEAD / BATCH))))

    def ahead(self, candidates: Iterable[Task]) -> list[Task]:
        """The first candidate, and those after it that will have started within `AHEAD` seconds.

        What was in hand when a worker died comes alone, so that a culprit shows itself.
        """
        chosen: list[Task] = []
        waited = 0.0
        for task in candidates:
            alone = is_suspect(task)
            if chosen and (alone or waited + self.expected(task.name) > AHEAD):
                break
            chosen.append(task)
            waited += self.expected(task.name)
            if alone:
                break
        return chosen


def names(role: str) -> list[str]:
    """The names of the tasks that a worker of `role` can run."""
    if role == Worker.Roles.LOOP:
        return [CALLBACK, *(handler.name for handler in registry.handlers() if handler.is_async)]
    return [handler.name for handler in registry.handlers() if not handler.is_async]


class Unsought(Func):
    """A column by which SQLite is not to look for rows: it then finds them by the index in whose order they are wanted.

    Else it would read and sort a whole backlog for each claim. PostgreSQL is told by `BY_INDEX`.
    """

    template = "%(expressions)s"
    arity = 1

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="+%(expressions)s", **context)


def claimable(names: Iterable[str], in_order: bool = True) -> QuerySet[Task]:
    """Ready tasks of these names, of queues that are not paused, the most urgent first."""
    paused = Queue.objects.filter(paused_at__isnull=False).values("name")
    name = Unsought("name", output_field=CharField()) if in_order else F("name")
    ready = Task.objects.ready() if in_order else Task.objects.filter(ready=True)
    return ready.alias(known_name=name).filter(known_name__in=list(names)).exclude(queue__in=paused)


def claimable_by(role: str, in_order: bool = True) -> QuerySet[Task]:
    """What a worker of `role` may take.

    An `async def` handler that was in hand when two workers died, or alone when one did, runs alone from then on, in a
    plain worker: so a culprit shows itself, and does not take along hundreds of others each time.
    """
    plain, loop = names(Worker.Roles.PLAIN), names(Worker.Roles.LOOP)
    alone = ~Q(name=CALLBACK) & (Q(crashes__gt=0) | Q(rescues__gt=1))
    if role == Worker.Roles.LOOP:
        return claimable(loop, in_order).exclude(alone)
    return claimable([*plain, *loop], in_order).filter(Q(name__in=plain) | alone)


def is_suspect(task: Task) -> bool:
    """Whether it may have been this task's code that a worker died of."""
    return not task.is_callback and bool(task.crashes or task.rescues)


def is_waiting(role: str) -> bool:
    """Whether there may be something to claim: a look without a lock. What has become due is made ready first."""
    lifecycle.promote()
    statement, parameters = _look(connection.vendor, role, _known())
    return bool(execute(statement, parameters).fetchall())


def must_wait(tasks: list[Task]) -> bool:
    """Whether these, which a plain worker holds unstarted, are no longer the ones to start next.

    Something more urgent is waiting, their queue has been paused, or one of them is to be canceled or paused.
    """
    least = min((task.priority for task in tasks), default=0)
    held = Task.objects.filter(pk__in=[task.pk for task in tasks])
    paused = Queue.objects.filter(paused_at__isnull=False).values("name")
    return bool(tasks) and (
        claimable_by(Worker.Roles.PLAIN).filter(priority__gt=least).exists()
        or held.filter(Q(requested__isnull=False) | Q(queue__in=paused)).exists()
    )


def seconds_until_due() -> float:
    """How long an idle worker may sleep if no hint wakes it."""
    left = lifecycle.seconds_until_due()
    return SAFETY if left is None else min(max(left, 0.001), SAFETY)


def plain(session: Session, pace: Pace) -> list[Task]:
    """Tasks for a worker that runs one after the other."""
    first = partial(_first, session, pace.batch)
    return lifecycle.claim(first, session.worker, pace.ahead)


def many(session: Session, limit: int, suspects: int = 0) -> list[Task]:
    """Tasks for a worker that runs up to `limit` more at once, and `suspects` of the dubious kind already."""
    room = SUSPECTS - suspects
    first = partial(_first, session, limit, unsuspected=room <= 0)
    return lifecycle.claim(first, session.worker, partial(_but_few_suspects, room))


def _first(session: Session, limit: int, unsuspected: bool = False) -> tuple[list[Task], dt.datetime]:
    """The first candidates, locked, without those that somebody else is claiming; and the moment.

    A session that has ended or was declared lost finds none.
    """
    worker = session.worker
    statement, parameters = _claim(connection.vendor, worker.role, _known(), unsuspected, worker.pk)
    with one_trip():
        if by_index := BY_INDEX[connection.vendor]:
            execute(by_index)
        found, now = select(statement, [*parameters, limit]), asked_now()
    return read(Task, found), now()


def _known() -> Known:
    return tuple(tuple(names(role)) for role in Worker.Roles)


@functools.lru_cache(maxsize=100)
def _look(vendor: str, role: str, known: Known) -> tuple[str, tuple[Any, ...]]:
    """Made once for all that it depends on, for this costs milliseconds."""
    return claimable_by(role, in_order=False).values("pk")[:1].query.sql_with_params()


@functools.lru_cache(maxsize=100)
def _claim(
    vendor: str, role: str, known: Known, unsuspected: bool, worker_id: uuid.UUID
) -> tuple[str, tuple[Any, ...]]:
    """As `_look`. The last parameter, which is to be added, is how many."""
    candidates = claimable_by(role).filter(Exists(live().filter(pk=worker_id)))
    if unsuspected:
        candidates = candidates.filter(Q(name=CALLBACK) | Q(crashes=0, rescues=0))
    statement, parameters = candidates.query.sql_with_params()
    return f"{statement} LIMIT %s" + (" FOR UPDATE SKIP LOCKED" if vendor == "postgresql" else ""), parameters


def _but_few_suspects(room: int, candidates: list[Task]) -> list[Task]:
    left_out = {task.pk for task in list(filter(is_suspect, candidates))[max(room, 0) :]}
    return [task for task in candidates if task.pk not in left_out]
