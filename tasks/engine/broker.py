"""The seam to django-q2, and the only file that imports it.

django-q2 supplies and renews worker processes. Its queue never holds a task of ours: what it carries is a *ticket*,
"there may be work", and the process that gets one claims its tasks itself, when it starts them, for as long as it
lives: one ticket, one session, one process. So an idle worker waits in our code, and not in django-q2's queue, whose
lock would die with it.

What we use of it: the broker interface (documented), `SignedPackage`, the keys of a package, the status that the
sentinel saves, and that a worker looks at `Conf.MAX_RSS` after each package. `tests/tasks/engine/test_broker.py` holds
that still.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import time
import uuid
from types import FrameType
from typing import Any

from django.utils import timezone
from django_q.brokers import Broker
from django_q.conf import Conf
from django_q.signing import SignedPackage

from tasks.engine import halt, lifeline
from tasks.engine.kinship import die_with_parent, take_children_along

RUNNER = "tasks.engine.runner.run"
IDLE = 0.2  # seconds


class TicketBroker(Broker):
    """Hands out tickets without end. The pusher blocks on its queue, which holds one."""

    _numbers = itertools.count(1)

    def ping(self) -> bool:
        """Called once, by the sentinel, before it starts the others; they inherit what it does about signals."""
        signal.signal(signal.SIGTERM, _bear)
        die_with_parent()
        take_children_along()
        return True

    def dequeue(self) -> list[tuple[str, str]]:
        if lifeline.stopping():
            time.sleep(IDLE)  # nobody starts a session any more; the supervisor ends the pool soon
        return [(f"ticket-{next(self._numbers)}", SignedPackage.dumps(ticket()))]

    def enqueue(self, task: Any) -> None:
        raise NotImplementedError("Submit tasks with tasks.submit(); django-q2's own queue is not in use.")

    def acknowledge(self, task_id: str) -> None:
        pass

    def queue_size(self) -> int:
        return 0

    def lock_size(self) -> int:
        return 0

    def info(self) -> str:
        return "TaskHub tickets"

    def set_stat(self, key: str, value: str, timeout: int) -> None:
        """The sentinel says how it is, twice a second: that is how we learn that it stops."""
        if SignedPackage.loads(value).status == Conf.STOPPING:
            halt.say()

    def get_stat(self, key: str) -> None:
        return None

    def get_stats(self, pattern: str) -> list[Any]:
        return []


def _bear(signum: int, frame: FrameType | None) -> None:
    """Who stops a service sends SIGTERM to all of its processes. The parent's word is enough; if the others just died
    of it, running tasks would die with them. django-q2 itself sends it at the very end, to a monitor that hangs.
    """
    if halt.is_said() and multiprocessing.current_process().daemon:
        os._exit(0)


def retire() -> None:
    """Let this worker process end after the package in hand, and a fresh one take its place."""
    Conf.MAX_RSS = 1


def ticket() -> dict[str, Any]:
    """A package that makes a worker process run one session. It holds nothing of anybody's."""
    number = uuid.uuid4().hex
    return {
        "id": number,
        "name": "session",
        "func": RUNNER,
        "args": (),
        "kwargs": {},
        "started": timezone.now(),
        "timeout": -1,  # no alarm of django-q2's: deadlines are ours
        "save": False,
        "ack_failure": True,
    }
