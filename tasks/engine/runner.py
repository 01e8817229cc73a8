"""What a ticket from django-q2 does: one session of one worker, in this process, from its first to its last claim."""

from __future__ import annotations

import fcntl
import gc
import logging
import signal
import uuid
from functools import partial
from typing import IO

from django.conf import settings
from django.db import connections

from tasks import failpoints
from tasks.database import uuid7
from tasks.engine import halt, lifeline
from tasks.engine.broker import retire
from tasks.engine.context import TaskLogHandler
from tasks.engine.desk import Desk
from tasks.engine.endurance import patiently
from tasks.engine.loop import LoopWorker
from tasks.engine.plain import PlainWorker
from tasks.engine.pulse import Pulse
from tasks.engine.session import Session, sign_connections
from tasks.engine.sweeps import Sweeper
from tasks.engine.watchdog import Watchdog
from tasks.models import Worker

logger = logging.getLogger(__name__)

R = Worker.Roles
OURS = ("tasks.", "realtime.")  # our own loggers, which have levels of their own


def run() -> None:
    """Never raises: whatever goes wrong is logged. Afterwards this process has had its session and is to end.

    But while the pool stops, a process stays, to take the tickets that would block the pool's queue.
    """
    if _is_over():
        return
    try:
        session = uuid7()
        prepare(session)
        with Role() as role:
            work(session, role)
    except BaseException:
        logger.exception("A worker ended.")
    if not _is_over():
        retire()


def _is_over() -> bool:
    return lifeline.stopping() or halt.is_said()


def prepare(session: uuid.UUID) -> None:
    """Make this fresh process fit for long work."""
    gc.freeze()  # what is loaded by now stays: to look through it for garbage took an eighth of the time under backlog
    sign_connections(session)
    lifeline.watch()
    keep_logs()
    for alias in connections:
        connections.settings[alias]["CONN_MAX_AGE"] = None  # a worker keeps its connections


def keep_logs() -> None:
    """Tasks keep what their handlers log from INFO on, while the console stays as quiet as it was."""
    root = logging.getLogger()
    quiet, root.level = root.level, min(root.level, logging.INFO)
    for handler in root.handlers:
        handler.addFilter(lambda record: record.levelno >= quiet or record.name.startswith(OURS))
    root.addHandler(TaskLogHandler())


def work(id: uuid.UUID, role: Role) -> None:
    """One session: registered, at work, ended."""
    session = patiently(partial(Session, id, role.name), lambda: not _is_over())
    if session is None:
        return
    failpoints.reach("session.registered")
    signal.signal(signal.SIGTERM, lambda signum, frame: session.stop())
    desk = Desk(session.worker)
    pulse, sweeper = Pulse(session, desk), Sweeper(lambda: session.is_punctual)
    watchdog = Watchdog(session, desk, pulse)
    for thread in (pulse, watchdog, sweeper):
        thread.start()
    if role.name == R.LOOP:
        LoopWorker(session, desk, watchdog, role.give_up).run()
    else:
        PlainWorker(session, desk, pulse, watchdog).run()
    for thread in (sweeper, pulse, watchdog):
        thread.finish()
    failpoints.reach("session.closing")
    patiently(session.close, lambda: not session.ending)


class Role:
    """Plain, or loop: that is whoever holds the lock. When it dies, the kernel frees the lock for its successor."""

    def __init__(self) -> None:
        self._file: IO[str] | None = None

    def __enter__(self) -> Role:
        self._file = open(settings.DATA / "loop.lock", "w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.name = R.LOOP
        except BlockingIOError:
            self.name = R.PLAIN
        return self

    def __exit__(self, *exception: object) -> None:
        self.give_up()

    def give_up(self) -> None:
        """Somebody else may take it."""
        if self._file:
            self._file.close()
            self._file = None
