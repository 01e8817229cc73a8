"""What any worker does for all: steps that return a number, and the one loop that runs them.

Each step looks first, without a lock, and writes only what it finds to do: an idle hub stays quiet. What two workers
find at the same time is done once, for the rows are locked or the statement is idempotent.
"""

from __future__ import annotations

import datetime as dt
import logging
import random
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import takewhile
from typing import Any

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import Model

from tasks import counts, cursor, failpoints, lifecycle
from tasks.callbacks import settlement
from tasks.database import database_now, transactional
from tasks.engine.endurance import Outage
from tasks.engine.session import cut_off, is_dead, live, machine
from tasks.models import IdempotencyKey, Marker, RateWindow, SigninLink, StreamTicket, Task, TaskEvent, Worker
from tasks.pipelines.advance import sweep as advance_pipelines
from tasks.pipelines.retention import prune as prune_pipelines

logger = logging.getLogger(__name__)

PAUSE = 0.5  # seconds between two rounds
AT_ONCE = 1000  # rows pruned by one step
PROGRESS_PRUNED = "progress.pruned"
SESSIONS_KEPT = dt.timedelta(days=1)


class Sweeper(threading.Thread):
    """The loop. It has a database connection of its own, and nobody waits for it."""

    def __init__(self, is_punctual: Callable[[], bool] = lambda: True) -> None:
        """`is_punctual`: whether this worker itself renews its lease in time."""
        super().__init__(name="sweeper", daemon=True)
        self._finished = threading.Event()
        self._watch = LeaseWatch(is_punctual)
        self._every: dict[Callable[[], int], float] = {
            rescue_dead: PAUSE,
            self._watch.rescue_expired: settings.TASKHUB_HEARTBEAT_S / 2,
            rescue_stranded: settings.TASKHUB_HEARTBEAT_S / 2,
            settlement.end_overdue: 1,
            counts.fold: 2,
            advance_pipelines: 5,
            prune_progress: 30,
            prune_events: 30,
            prune_tasks: 60,
            prune_pipelines: 60,
            prune_credentials: 60,
            prune_sessions: 60,
        }
        self._next = dict.fromkeys(self._every, 0.0)
        self._outages = {step: Outage(f"The sweep {step.__name__}") for step in self._every}

    def finish(self) -> None:
        """Sweep no more. A step that takes long is left alone: it does no harm, and ends with the process."""
        self._finished.set()
        self.join(PAUSE)

    def run(self) -> None:
        pause = min(PAUSE, settings.TASKHUB_HEARTBEAT_S / 4)
        while not self._finished.wait(pause * random.uniform(0.8, 1.2)):  # noqa: S311 - so that workers don't sweep in step
            self.round()
        connection.close()

    def round(self) -> None:
        """Every step whose time has come. One that had its hands full goes on in the next round."""
        for step, every in self._every.items():
            if time.monotonic() >= self._next[step]:
                self._next[step] = time.monotonic() + every
                self._outages[step].survived(partial(self._take, step))

    def _take(self, step: Callable[[], int]) -> None:
        if step() >= AT_ONCE:
            self._next[step] = 0.0


# -- rescue --------------------------------------------------------------------------------------------------------


class LeaseWatch:
    """Finds leases that have run out. Who has not been watching cannot tell a dead worker from a database that was
    away or a machine that slept, so after a gap it takes nothing for one full lease. It is a gap too if this worker
    could not renew its own lease: a database may let us read and not write."""

    def __init__(self, is_punctual: Callable[[], bool] = lambda: True) -> None:
        self._is_punctual = is_punctual
        self._looked: dt.datetime | None = None
        self._quiet_until: dt.datetime | None = None

    def may_judge(self, now: dt.datetime) -> bool:
        """To be asked at every look, with the database's time."""
        gap = dt.timedelta(seconds=2 * settings.TASKHUB_HEARTBEAT_S)
        watched = self._looked is not None and dt.timedelta() <= now - self._looked <= gap
        if not (watched and self._is_punctual()):
            self._quiet_until = now + dt.timedelta(seconds=settings.TASKHUB_LEASE_S)
        self._looked = now
        return self._quiet_until is None or now >= self._quiet_until

    def rescue_expired(self) -> int:
        now = database_now()
        if not self.may_judge(now):
            return 0
        expired = list(live().filter(expires_at__lt=now))
        for worker in expired:
            cut_off(worker)
        return sum(rescue(worker, "The worker stopped renewing its lease.", now) for worker in expired)


def rescue_dead() -> int:
    """The workers of this machine whose process is gone need no lease to run out."""
    return sum(
        rescue(worker, "The worker's process died.") for worker in live().filter(machine=machine()) if is_dead(worker)
    )


@transactional
def rescue(worker: Worker, detail: str, expired: dt.datetime | None = None) -> int:
    """Declare a worker lost, for good, and take its tasks from it. Returns how many.

    It is a crash, and charged, only if the worker held nothing but one task that runs code of a user's.
    """
    lost = live().filter(pk=worker.pk)
    if expired is not None:
        lost = lost.filter(expires_at__lt=expired)  # it may have come back meanwhile
    if not lost.update(lost_at=database_now()):
        return 0
    failpoints.reach("rescue.marked")
    held = Task.objects.processing().filter(worker=worker)
    alone = held[:2]
    charged = len(alone) == 1 and not alone[0].is_callback
    rescued = lifecycle.rescue(held, charged, detail)
    failpoints.reach("rescue.written")
    cost = "charged as a crash" if charged else "no attempt used"
    logger.warning("Worker %s is lost. %s Tasks taken from it: %d (%s).", worker, detail, len(rescued), cost)
    return len(rescued)


def rescue_stranded() -> int:
    """What is held by a session that has ended, or is forgotten: claimed in the moment in which it was lost."""
    holders = set(Task.objects.processing().exclude(worker=None).values_list("worker", flat=True).distinct())
    ended = holders - set(live().filter(pk__in=holders).values_list("pk", flat=True))
    if not ended:
        return 0
    held = Task.objects.processing().filter(worker__in=ended)
    return len(lifecycle.rescue(held, False, "The worker's session had ended before."))


# -- retention -----------------------------------------------------------------------------------------------------


def prune_events() -> int:
    before = database_now() - _seconds(settings.TASKHUB_EVENTS_KEEP_S)
    return _prune(TaskEvent.objects.filter(pk__lte=cursor.last_before(before)))


def prune_progress() -> int:
    """Reports of progress go sooner than the events among which they lie. A marker says how far this has come.

    Returns how many events were looked through.
    """
    before = database_now() - _seconds(settings.TASKHUB_PROGRESS_KEEP_S)
    marker = Marker.objects.filter(name=PROGRESS_PRUNED).first() or Marker(name=PROGRESS_PRUNED, value={"id": 0})
    following = TaskEvent.objects.filter(pk__gt=marker.value["id"]).order_by("pk")
    rows = following.values_list("pk", "timestamp", "type")[:AT_ONCE]
    old = list(takewhile(lambda row: row[1] < before, rows))
    if old:
        _delete(TaskEvent, [pk for pk, _, type in old if type == TaskEvent.Types.PROGRESS])
        marker.value = {"id": old[-1][0]}
        marker.save()
    return len(old)


def prune_tasks() -> int:
    """What is over and no dead letter, after its retention."""
    over = Task.objects.expired(database_now() - dt.timedelta(days=settings.TASKHUB_RETENTION_DAYS))
    return lifecycle.prune(over, AT_ONCE)


def prune_credentials() -> int:
    now = database_now()
    return (
        _prune(IdempotencyKey.objects.filter(created_at__lt=now - IdempotencyKey.KEPT))
        + _prune(StreamTicket.objects.filter(expires_at__lt=now))
        + _prune(SigninLink.objects.filter(expires_at__lt=now))
        + _prune(RateWindow.objects.filter(ends_at__lt=now))
        + _prune(Session.objects.filter(expire_date__lt=now))
    )


def prune_sessions() -> int:
    ended = Worker.objects.exclude(stopped_at=None, lost_at=None).filter(
        heartbeat_at__lt=database_now() - SESSIONS_KEPT, tasks=None
    )
    return _prune(ended)


def _prune(rows) -> int:
    """Delete the first of `rows`. Looks before it writes."""
    return _delete(rows.model, list(rows.order_by("pk").values_list("pk", flat=True)[:AT_ONCE]))


def _delete(model: type[Model], keys: list[Any]) -> int:
    return model._default_manager.filter(pk__in=keys).delete()[0] if keys else 0


def _seconds(number: float) -> dt.timedelta:
    return dt.timedelta(seconds=number)
