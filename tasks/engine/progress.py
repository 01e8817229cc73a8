"""Whether a cluster works, as the database shows it: its sessions, and what waits although one of them is idle.

All busy is health. What django-q2 says of itself is not asked: a cluster of which one process was killed at the wrong
moment looks healthy and stands still.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import signal
import socket
import time
from contextlib import suppress

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Greatest

from tasks.database import database_now
from tasks.engine import claim, session
from tasks.models import Worker

logger = logging.getLogger(__name__)

SETTLING = 30.0  # seconds in which sessions may be missing or late, after the start and after an outage
MISSING = 10.0  # seconds without one of them, after that
OVERDUE = 5.0  # seconds that a process may outlive its lease
WAITED = dt.timedelta(seconds=5)  # how long a task must have been waiting while a session said that it was idle
STUCK = 2.0  # seconds that this must be seen
PROMPTLY = 1.0  # seconds within which a database that works lets us write


class Since:
    """Whether a condition has held without a break for some time, by the monotonic clock."""

    def __init__(self) -> None:
        self._began: float | None = None

    def lasts(self, holds: bool, seconds: float) -> bool:
        """Tell it each time whether the condition holds."""
        now = time.monotonic()
        self._began = (self._began or now) if holds else None
        return self._began is not None and now - self._began >= seconds


class Progress:
    """A cluster that is to work: the sessions of a process group. `complaint` says why it must be started anew."""

    each = 1.0

    def __init__(self, group: int, expected: int, knows_handlers: bool = True) -> None:
        """`knows_handlers`: whether this process has loaded the same code as the cluster's workers."""
        self.complaint: str | None = None
        self._group = group
        self._expected = expected
        self._knows_handlers = knows_handlers
        self.begin()

    def begin(self) -> None:
        """Forget what was seen: at the start, and after a time in which nothing could be seen."""
        self._began = time.monotonic()
        self._missing, self._stuck = Since(), Since()
        self._overdue: dict[int, Since] = {}
        self._ended: set[int] = set()

    def look(self) -> None:
        now = database_now()
        sessions = newest_sessions(self._group)
        live = [worker for worker in sessions if is_live(worker, now)]
        if len(live) < len(sessions) and not can_write():
            self.begin()
        if self._has_settled:
            self._end_overdue([worker for worker in sessions if worker not in live])
        self.complaint = self._missing_sessions(len(live)) or self._idle_beside_work(live)

    @property
    def _has_settled(self) -> bool:
        return time.monotonic() - self._began >= SETTLING

    def _missing_sessions(self, live: int) -> str | None:
        if self._missing.lasts(self._has_settled and live < self._expected, MISSING):
            return f"only {live} of {self._expected} workers have been alive for {MISSING:g} s"
        return None

    def _idle_beside_work(self, live: list[Worker]) -> str | None:
        if self._knows_handlers and self._stuck.lasts(any(map(overlooks, live)), STUCK):
            return "a worker is idle while a task that it could run is waiting"
        return None

    def _end_overdue(self, lapsed: list[Worker]) -> None:
        """A process whose lease is gone may have been stopped in the middle of a task that others run by now."""
        self._overdue = {worker.pid: self._overdue.get(worker.pid, Since()) for worker in lapsed}
        for pid, since in self._overdue.items():
            if since.lasts(True, OVERDUE) and pid not in self._ended and belongs_to(self._group, pid):
                self._ended.add(pid)
                logger.error("Worker %d has outlived its lease; ending it.", pid)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def can_write() -> bool:
    """Whether a worker could renew its lease just now: on SQLite somebody else may hold the lock."""
    began = time.monotonic()
    with transaction.atomic():
        return time.monotonic() - began < PROMPTLY


def newest_sessions(group: int) -> list[Worker]:
    """The last session of each process of the group that has not ended by itself."""
    recent = database_now() - dt.timedelta(seconds=settings.TASKHUB_LEASE_S) - dt.timedelta(hours=1)
    rows = here().filter(stopped_at__isnull=True, expires_at__gt=recent).order_by("started_at")
    newest = {worker.pid: worker for worker in rows if belongs_to(group, worker.pid)}
    return list(newest.values())


def here() -> QuerySet[Worker]:
    """All sessions ever of processes whose ids mean something in this process."""
    return Worker.objects.filter(host=socket.gethostname()[:255], machine=session.machine())


def belongs_to(group: int, pid: int) -> bool:
    try:
        return os.getpgid(pid) == group
    except ProcessLookupError:
        return False


def is_live(worker: Worker, now: dt.datetime) -> bool:
    return worker.lost_at is None and worker.expires_at > now


def overlooks(worker: Worker) -> bool:
    """Whether the session said that it was idle when a task that it can run had been waiting for some time."""
    if worker.idle_since is None or worker.idle_since == worker.heartbeat_at:
        return False
    waiting = claim.claimable_by(worker.role).annotate(ready_since=Greatest("run_at", "updated_at"))
    return waiting.filter(ready_since__lte=worker.heartbeat_at - WAITED).exists()
