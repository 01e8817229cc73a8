"""The supervisor's eye on the database, in a thread of its own: the supervisor itself never waits for a query.

While the database is away nothing is known and nothing is judged.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from tasks import tallies
from tasks.database import database_now
from tasks.engine import progress, session

logger = logging.getLogger(__name__)

IDLE = 1.0  # seconds between two looks while there is no subject


class Subject(Protocol):
    """What is being watched just now. Its answer is an attribute, which the supervisor reads when it likes."""

    each: float  # seconds between two looks

    def look(self) -> None: ...

    def begin(self) -> None:
        """Forget what was seen; nothing could be seen for a while."""


class Watch(threading.Thread):
    """Looks at one subject after another; the supervisor says at which."""

    def __init__(self, prepare: Callable[[], bool]) -> None:
        """`prepare` brings the database into order before anything is looked at; it is tried until it returns true."""
        super().__init__(name="watch", daemon=True)
        self._prepare = prepare
        self.is_ready = False  # whether it has
        self.failure: BaseException | None = None  # why it never will
        self._subject: Subject | None = None
        self._given_back = threading.Event()
        self._given_back.set()
        self._wake = threading.Event()
        self._is_blind = False
        self._restarts: deque[str] = deque()  # not written down yet

    def turn_to(self, subject: Subject | None) -> None:
        self._subject = subject
        self._wake.set()

    def give_back(self) -> threading.Event:
        """Processes of ours are dead: release what they held. The event is set once that is written."""
        self._given_back.clear()
        self.turn_to(None)
        return self._given_back

    def note_restart(self, child: str) -> None:
        """The supervisor starts a child again; it is written down as soon as the database answers."""
        self._restarts.append(child)

    def run(self) -> None:
        self._get_ready()
        while self.is_ready:
            subject = self._subject
            self._look_at(subject)
            self._pause(subject.each if subject else IDLE)

    def _get_ready(self) -> None:
        while not (self.is_ready or self.failure):
            try:
                self.is_ready = self._prepare()
            except (OperationalError, InterfaceError) as error:
                self._go_blind(None, error)
            except BaseException as error:
                self.failure = error
            if not self.is_ready:
                self._pause(IDLE)

    def _look_at(self, subject: Subject | None) -> None:
        try:
            if not self._given_back.is_set():
                release_the_dead()
                self._given_back.set()
            while self._restarts:
                tallies.restarted(self._restarts[0])
                self._restarts.popleft()
            if subject:
                subject.look()
            self._is_blind = False
        except (DatabaseError, InterfaceError) as error:
            self._go_blind(subject, error)
        except Exception:
            logger.exception("The supervisor's look at the database failed; it tries again.")

    def _pause(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()

    def _go_blind(self, subject: Subject | None, error: Exception) -> None:
        connection.close()
        if not self._is_blind:
            logger.warning("The database does not answer (%s); the supervisor waits for it.", str(error).strip())
        self._is_blind = True
        if subject:
            subject.begin()


class Closing:
    """A cluster that has been told to stop. `is_quiet` once it holds nothing any more."""

    each = 0.1

    def __init__(self, group: int) -> None:
        self._group = group
        self._since: dt.datetime | None = None
        self.is_quiet = False

    def begin(self) -> None:
        self._since = None

    def look(self) -> None:
        """A session that begins now ends at once and holds nothing: those count that were there at the first look."""
        since = self._since = self._since or database_now()
        sessions = progress.newest_sessions(self._group)
        self.is_quiet = not any(worker.lost_at is None and worker.started_at <= since for worker in sessions)


def release_the_dead() -> None:
    """Give back what processes of this machine held that are seen to be dead."""
    for worker in progress.here().filter(pk__in=session.live()):
        if session.is_dead(worker) and (released := session.abandon(worker)):
            logger.info("Tasks of worker %d given back: %d.", worker.pid, released)
