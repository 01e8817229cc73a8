"""Who this worker is: its row, and the lease that it renews. A session lasts as long as its process.

The lease is measured by the database's clock; what this process may still start, by its own monotonic clock since
the last renewal that succeeded *began*: so a slow answer or a stopped process can only make it more careful.
"""

from __future__ import annotations

import datetime as dt
import functools
import os
import socket
import threading
import time
import uuid
from pathlib import Path

from django.conf import settings
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models import QuerySet

from tasks import lifecycle
from tasks.database import database_now, transactional
from tasks.engine import halt, lifeline
from tasks.models import Task, Worker

LOOK_S = 0.01  # between two looks for a word to stop
LATE = 0.5  # seconds by which a renewal may come too late on a busy machine
_backends = threading.local()  # the server's process behind this thread's connection, for each database


class Session:
    """One worker process, registered. `ending` once it is to claim nothing more."""

    def __init__(self, id: uuid.UUID, role: str) -> None:
        """The same `id` may be registered again, by whoever could not see whether it was."""
        began = time.monotonic()
        now = database_now()
        self.worker, _ = Worker.objects.update_or_create(
            id=id,
            defaults={
                "host": socket.gethostname()[:255],
                "machine": machine(),
                "pid": os.getpid(),
                "role": role,
                "started_at": now,
                "heartbeat_at": now,
                "expires_at": now + lease(),
            },
        )
        self.name = str(self.worker)
        self.is_idle = False
        self.is_lost = False
        self._renewed = began
        self._parent = os.getppid()
        self._stop_at: float | None = None
        self._next_look = 0.0

    @property
    def is_safe(self) -> bool:
        """Whether a task that is claimed may still be started: the lease surely outlives the next renewal."""
        age = time.monotonic() - self._renewed
        return not self.is_lost and age < settings.TASKHUB_LEASE_S - settings.TASKHUB_HEARTBEAT_S

    @property
    def is_punctual(self) -> bool:
        """Whether the last renewal came in time, so that others who renew nothing have no database to blame."""
        return time.monotonic() - self._renewed < 1.5 * settings.TASKHUB_HEARTBEAT_S + LATE

    @property
    def ending(self) -> bool:
        """Whether to claim nothing more: told to stop, orphaned, or declared lost."""
        if self._stop_at is None and time.monotonic() >= self._next_look:
            self._look()
        return self._stop_at is not None or self.is_lost

    def _look(self) -> None:
        """The kernel is asked, which takes longer than many a task: so not before each of them."""
        self._next_look = time.monotonic() + LOOK_S
        if lifeline.stopping() or halt.is_said() or os.getppid() != self._parent:
            self.stop()

    @property
    def grace_ends(self) -> float | None:
        """The moment of the monotonic clock at which running work is to end, None while nobody has said stop."""
        if not self.ending or self._stop_at is None:
            return None
        return self._stop_at + settings.TASKHUB_SHUTDOWN_GRACE_S

    def stop(self) -> None:
        """Claim nothing more; what runs has its grace."""
        self._stop_at = self._stop_at or time.monotonic()

    def renew(self) -> None:
        """Push the lease forward by one UPDATE. A session that was declared lost stays so."""
        began = time.monotonic()
        now = database_now()
        idle_since = (
            {} if self.is_idle == bool(self.worker.idle_since) else {"idle_since": now if self.is_idle else None}
        )
        renewed = live().filter(pk=self.worker.pk).update(heartbeat_at=now, expires_at=now + lease(), **idle_since)
        self.worker.idle_since = idle_since.get("idle_since", self.worker.idle_since)
        if renewed:
            self._renewed = began
        else:
            self.is_lost = True

    def close(self) -> None:
        """The end, with nothing in hand."""
        live().filter(pk=self.worker.pk).update(stopped_at=database_now())


def live() -> QuerySet[Worker]:
    """The sessions that have neither ended nor been declared lost."""
    return Worker.objects.filter(stopped_at__isnull=True, lost_at__isnull=True)


def lease() -> dt.timedelta:
    return dt.timedelta(seconds=settings.TASKHUB_LEASE_S)


def sign_connections(session: uuid.UUID) -> None:
    """Let the connections that this process opens from now on tell PostgreSQL whose they are."""
    if connection.vendor == "postgresql":
        for alias in connections:
            connections.settings[alias]["OPTIONS"]["application_name"] = _signature(session)
        connection_created.connect(_end_former, dispatch_uid="tasks.engine.session")


def _end_former(connection: BaseDatabaseWrapper, **kwargs: object) -> None:
    """This thread's last connection broke, and may live on at the server: there its transaction would keep tasks
    locked until the server misses us, which can take hours. A listener's, made beside it, is no successor."""
    if connection.vendor != "postgresql" or connection is not connections[connection.alias]:
        return
    former = getattr(_backends, connection.alias, None)
    setattr(_backends, connection.alias, connection.connection.info.backend_pid)
    if former:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND application_name = %s",
                [former, connection.settings_dict["OPTIONS"]["application_name"]],
            )


def cut_off(worker: Worker) -> None:
    """End the connections of a worker that has fallen silent.

    In the middle of a transaction they would keep its tasks locked for hours: as long as PostgreSQL takes to notice
    that a machine is gone.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
                [_signature(worker.pk)],
            )


def _signature(session: uuid.UUID) -> str:
    return f"taskhub {session}"


@transactional
def abandon(worker: Worker) -> int:
    """Release what a worker held that was stopped on purpose and is seen dead. Returns the number of tasks."""
    if not live().filter(pk=worker.pk).update(stopped_at=database_now()):
        return 0
    return len(lifecycle.release(Task.objects.filter(worker=worker), str(worker)))


@functools.cache
def machine() -> str:
    """Where a process id means something: this boot of this host, this namespace. Empty when it can't be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def is_dead(worker: Worker) -> bool:
    """Whether the worker's process is seen to be gone. False when nobody can tell from here."""
    if not worker.machine or worker.machine != machine():
        return False
    try:
        os.kill(worker.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # somebody else's process: the number is in use again
        return False
    return False
