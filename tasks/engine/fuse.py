"""The last resort against code that holds the interpreter for ever: a thread of C's that ends the process.

Neither an exception nor a thread of Python's reaches such code. So the moment at which the process is to end is set
before user code gets control, and put off or called off afterwards.
"""

from __future__ import annotations

import faulthandler
import sys
import threading
import time
from collections.abc import Hashable

STDERR = 2  # the descriptor, for a process whose Python has no stream for it


class Fuse:
    """One for each process. Moments are of the monotonic clock. Safe in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moments: dict[Hashable, float] = {}
        self._burns_at: float | None = None

    def hold(self, key: Hashable, moment: float) -> None:
        """Unless `release` or a later `hold` of the same key says otherwise, the process ends at that moment."""
        with self._lock:
            self._moments[key] = moment
            if self._burns_at is None or moment < self._burns_at:
                self._light(moment)

    def release(self, key: Hashable) -> None:
        """What burns already is left to `trim`: to start a thread for each of many short tasks would cost too much."""
        with self._lock:
            self._moments.pop(key, None)

    def trim(self) -> None:
        """Let the fuse burn until the first moment that is held now, or put it out. To be called every now and then."""
        with self._lock:
            first = min(self._moments.values(), default=None)
            if first is None:
                self._put_out()
            elif first != self._burns_at:
                self._light(first)

    def _light(self, moment: float) -> None:
        self._burns_at = moment
        seconds = max(moment - time.monotonic(), 0.001)
        faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or STDERR)

    def _put_out(self) -> None:
        self._burns_at = None
        faulthandler.cancel_dump_traceback_later()
