"""Places on a task's way at which a test kills, stops, delays or breaks whichever process comes by.

`TASKHUB_FAILPOINT` is a comma list of `name:kill|stop|sleep|raise[:n]`: what happens at the place of that name, the
first `n` times (1) that any process with this data directory gets there. Only development knows it. Anybody may import
this file; it imports nothing of ours.
"""

from __future__ import annotations

import functools
import os
import signal
import time

from django.conf import settings
from django.db import OperationalError

# In the order in which a task passes them.
POINTS = {
    "submit.written": "a new task and its event are written, not committed",
    "claim.chosen": "rows are locked for a claim, nothing is written",
    "claim.written": "the claim is written, not committed",
    "claim.committed": "the claim is committed, the worker does not know it yet",
    "run.begin": "nothing of the handler has run, or of the request been sent",
    "run.end": "the handler has returned, or the answer is there, and nobody knows it",
    "record.begin": "the outcome is known to this process alone",
    "change.written": "the task's row is written, its event is not",
    "record.written": "outcome and events are written, not committed",
    "record.committed": "the outcome is committed, the worker does not know it yet",
    "publish.begin": "a change is committed, nobody has been told",
    "publish.end": "everybody has been told",
    "rescue.marked": "a worker is marked as lost, its tasks are still its own, nothing is committed",
    "rescue.written": "its tasks are taken from it, nothing is committed",
    "report.written": "progress is written, not committed",
    "session.registered": "a worker is registered and holds nothing",
    "session.closing": "a worker has nothing in hand and is about to say so",
}
SLEEP = 3.0  # seconds


def reach(name: str) -> None:
    """This process has come to the place called `name`."""
    if settings.TASKHUB_FAILPOINT:
        _act(name)


def parse(text: str) -> dict[str, tuple[str, int]]:
    """What is to happen where, and how often. Raises `ValueError` with a sentence for what makes no sense."""
    armed = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, rest = part.partition(":")
        action, _, times = rest.partition(":")
        if name not in POINTS or action not in ACTIONS or not (times or "1").isdecimal():
            raise ValueError(
                f"{part!r} is no failpoint; write name:{'|'.join(ACTIONS)}[:n], name is of {', '.join(POINTS)}"
            )
        armed[name] = action, int(times or 1)
    return armed


_parsed = functools.cache(parse)


def _act(name: str) -> None:
    action, times = _parsed(settings.TASKHUB_FAILPOINT).get(name, ("", 0))
    if action and _take_turn(name, times):
        ACTIONS[action]()


def _take_turn(name: str, times: int) -> bool:
    """Whether it is still to happen. A file for each time, so that all processes together count."""
    for turn in range(times):
        try:
            os.close(os.open(settings.DATA / f"failpoint-{name}-{turn}", os.O_CREAT | os.O_EXCL))
            return True
        except FileExistsError:
            continue
    return False


def _break() -> None:
    raise OperationalError("a failpoint of the tests: the database is said not to answer")


ACTIONS = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "sleep": lambda: time.sleep(SLEEP),
    "raise": _break,
}
