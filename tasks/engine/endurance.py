"""How long a worker goes on: patient with a database that is away, and not for ever in one process."""

from __future__ import annotations

import logging
import resource
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, connection

logger = logging.getLogger(__name__)
T = TypeVar("T")

FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0  # seconds between two tries
LIFETIME = 3600.0  # seconds after which a process gives way to a fresh one
GROWTH = 512 * 1024  # KiB of resident memory that it may gain until then


def patiently(work: Callable[[], T], goes_on: Callable[[], bool]) -> T | None:
    """The result of `work`, tried for as long as the database does not answer. None when it is time to go."""
    wait = FIRST_WAIT
    while True:
        try:
            return work()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The database does not answer (%s); trying again in %.1f s.", str(error).strip(), wait)
            connection.close()
        if not goes_on():
            return None
        time.sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT)


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
