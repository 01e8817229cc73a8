"""What a handler is given: its view of the attempt. It touches no database: what is said here lies in memory until
the worker's pulse, or the end of the attempt, writes it down. So a report never joins or waits for a transaction of
the handler's.
"""

from __future__ import annotations

import contextvars
import datetime as dt
import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from tasks.changes import ETA_LEAST
from tasks.documents import check_document
from tasks.errors import storable
from tasks.exceptions import FieldError, TooLarge
from tasks.logs import LogLine
from tasks.masking import secrets_in, without
from tasks.models import Task

MESSAGE_LIMIT, LINE_LIMIT = 500, 4096  # characters
LINES_KEPT = 1000  # per attempt
STATE_LIMIT = 256 * 1024  # bytes of JSON
BETTER_THAN_USUAL = 10.0  # percent, from which on the progress says more than earlier runs
DEADLINE, SHUTDOWN = "deadline", "shutdown"  # reasons besides the requests "cancel" and "pause"


class Interrupted(BaseException):
    """The attempt is to end here, by `reason`: a request, the deadline or a shutdown. Not for handlers to catch."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Reports:
    """What an attempt has said since it was last written down."""

    progress: tuple[float, str] | None = None
    left: float | None = None  # seconds until the attempt is through, as its progress promises
    lines: list[LogLine] = field(default_factory=list)
    state: dict[str, Any] | None = None

    def __bool__(self) -> bool:
        return bool(self.progress or self.lines or self.state is not None)


class Estimate:
    """How long an attempt will go on, from what it reports: as fast as since its beginning, or since its first report
    if it goes on where it was left. At first the usual duration of the handler is the better guess, if it is known.
    """

    def __init__(self, task: Task) -> None:
        self._since = None if task.state else (0.0, time.monotonic())  # percent, moment
        self._trusted_from = BETTER_THAN_USUAL if task.eta else 0.0

    def left(self, percent: float) -> float | None:
        """Seconds; None while nothing can be told."""
        now = time.monotonic()
        self._since = self._since or (percent, now)
        gained, took = percent - self._since[0], now - self._since[1]
        if gained <= 0 or took < ETA_LEAST or percent < self._trusted_from:
            return None
        return took * (100 - percent) / gained


class Context:
    """The first argument of every handler.

    `task_id` and `idempotency_key` are the task's id as a string, `attempt` counts from 1, `state` is a dict of JSON
    that later attempts find as the last checkpoint, or the end of the attempt, has left it.
    """

    def __init__(self, task: Task) -> None:
        self.task_id = self.idempotency_key = str(task.pk)
        self.attempt = task.attempt
        self.state: dict[str, Any] = task.state
        self._payload = task.payload
        self._number = task.tries
        self._saved = msgspec.json.encode(task.state)
        self._has_saved = False
        self._reports = Reports()
        self._lines_left = LINES_KEPT
        self._lock = threading.Lock()
        self._estimate = Estimate(task)
        self.interruption: str | None = None  # why the attempt is to end, once it is
        self.forced = False  # whether it is to end even without a checkpoint

    def progress(self, percent: float, message: str = "") -> None:
        """Show how far the work is: `percent`, 0 to 100 (others are cut to that), and a word, up to 500 characters."""
        number = float(percent)
        if math.isnan(number):
            raise ValueError("progress cannot be NaN")
        with self._lock:
            self._reports.progress = min(max(number, 0.0), 100.0), self._said(message)[:MESSAGE_LIMIT]

    def log(self, message: object, level: str = "INFO") -> None:
        """Keep a line with the task. After 1,000 lines of an attempt a last one says that there were more."""
        with self._lock:
            if self._lines_left <= 0:
                return
            self._lines_left -= 1
            text = str(message) if self._lines_left else f"More than {LINES_KEPT} lines; the rest is not kept."
            self._reports.lines.append(LogLine(level[:8], self._said(text)[:LINE_LIMIT], dt.datetime.now(dt.UTC)))

    def checkpoint(self) -> None:
        """Save `state`; end here if a cancel or a pause was requested or the worker stops. Call it between steps.

        Raises `InvalidTask`, which dead-letters the task, for a state that is no JSON or has more than 256 KiB of it.
        """
        self._save_state()
        if self.interruption:
            raise Interrupted(self.interruption)

    # -- for the worker ------------------------------------------------------------------------------------------

    def interrupt(self, reason: str) -> None:
        """Let the next checkpoint raise."""
        self.interruption = reason

    def force(self, reason: str) -> None:
        """End without waiting for a checkpoint. An earlier request keeps its say."""
        self.interruption = self.interruption or reason
        self.forced = True

    @property
    def has_reports(self) -> bool:
        return bool(self._reports)

    def take_reports(self) -> Reports:
        """What is new since the last call."""
        with self._lock:
            taken, self._reports = self._reports, Reports()
        if taken.progress:
            taken.left = self._estimate.left(taken.progress[0])
        return taken

    def put_back(self, reports: Reports) -> None:
        """They could not be written: they are new again, but for what has been said since."""
        with self._lock:
            self._reports.progress = self._reports.progress or reports.progress
            self._reports.lines[:0] = reports.lines
            self._reports.state = reports.state if self._reports.state is None else self._reports.state

    def changed_state(self) -> dict[str, Any] | None:
        """The state at the end of the attempt, for its outcome to carry. None when it was never another.

        What a checkpoint has saved is told again: it may be on its way still, and would come after the outcome.
        """
        self._save_state()
        with self._lock:
            self._reports.state = None
        return msgspec.json.decode(self._saved) if self._has_saved else None

    @cached_property
    def _secrets(self) -> list[str]:
        return secrets_in(self._payload)

    def _said(self, message: object) -> str:
        """As it may be shown: without the secrets of the payload."""
        said: str = without(storable(str(message)), self._secrets)
        return said

    def _save_state(self) -> None:
        check_document(self.state, "state")
        encoded = msgspec.json.encode(self.state)
        if len(encoded) > STATE_LIMIT:
            detail = f"ctx.state has {len(encoded)} bytes of JSON; at most {STATE_LIMIT} are kept."
            raise TooLarge(FieldError("state", detail))
        if encoded != self._saved:
            with self._lock:
                self._saved, self._reports.state = encoded, msgspec.json.decode(encoded)
                self._has_saved = True


# -- the standard logging of a handler's thread or asyncio task -------------------------------------------------------

_current: contextvars.ContextVar[Context | None] = contextvars.ContextVar("taskhub_context", default=None)


@contextmanager
def current(context: Context) -> Iterator[None]:
    """Within it, what the handler logs in the ordinary way is kept with the task too."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


class TaskLogHandler(logging.Handler):
    """Passes the log records of a running handler on to its task."""

    def emit(self, record: logging.LogRecord) -> None:
        context = _current.get()
        if context is not None:
            try:
                context.log(self.format(record), record.levelname)
            except Exception:
                self.handleError(record)
