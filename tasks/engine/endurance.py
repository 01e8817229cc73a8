"""How long a worker goes on: patient with a database that is away, and not for ever in one process."""

from __future__ import annotations

import logging
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
)

from tasks.database import hang_up

logger = logging.getLogger(__name__)
T = TypeVar("T")

FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0  # seconds between two tries
LIFETIME = 3600.0  # seconds after which a process gives way to a fresh one
GROWTH = 512 * 1024  # KiB of resident memory that it may gain until then


def patiently(work: Callable[[], T], goes_on: Callable[[], bool]) -> T | None:
    """The result of `work`, tried for as long as the database does not answer. None when it is time to go.

    A second try is always made, at once: it may have been the connection alone. What the database refuses because of
    the data would be refused again: that is raised.
    """
    with suppress(OperationalError, InterfaceError):
        return work()
    hang_up(connection)
    wait = FIRST_WAIT
    while True:
        try:
            return work()
        except (DataError, IntegrityError):
            raise
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The database does not answer (%s); trying again in %.1f s.", _first_line(error), wait)
            hang_up(connection)
        if not goes_on():
            return None
        time.sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT)


class Outage:
    """What a thread that must never end does about errors: it tells of a series of them once, and of its end."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._since: float | None = None

    def survived(self, step: Callable[[], object]) -> bool:
        """Whether `step` went well. If not, it is to be tried again later."""
        try:
            step()
        except (DatabaseError, InterfaceError) as error:
            self._tell("%s waits for the database (%s).", _first_line(error))
            hang_up(connection)
            return False
        except Exception as error:
            self._tell("%s stumbled (%r); it goes on.", error, exc_info=error)
            return False
        if self._since is not None:
            logger.info("%s works again after %.1f s.", self._who, time.monotonic() - self._since)
            self._since = None
        return True

    def _tell(self, sentence: str, *details: object, **more: Any) -> None:
        if self._since is None:
            logger.warning(sentence, self._who, *details, **more)
            self._since = time.monotonic()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


class Budget:
    """The time and memory that one process has before it gives way to a fresh one."""

    def __init__(self) -> None:
        self._until = time.monotonic() + LIFETIME
        self._memory = _resident() + GROWTH

    @property
    def is_spent(self) -> bool:
        return time.monotonic() > self._until or _resident() > self._memory


def _resident() -> int:
    """The largest resident memory of this process so far, in KiB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used // 1024 if sys.platform == "darwin" else used
