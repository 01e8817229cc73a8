"""The supervisor's word to its children: a pipe that is never read. Any process may ask it, at any time; no Django.

The supervisor alone holds the end for writing. One byte in the pipe means "claim nothing more and finish within the
grace", the pipe's end means "the supervisor is gone". A byte is never taken out, so every process of a child, however
often forked, sees the same word; and the kernel ends the pipe even for a supervisor that was killed.

A process without a supervisor is never told to stop.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import signal
import stat
import threading
import time
from collections.abc import Callable

from tasks.engine.kinship import signal_at_parents_death

VARIABLE = "TASKHUB_LIFELINE_FD"


class Lifeline:
    """The supervisor's side, one for each start of a child."""

    def __init__(self) -> None:
        self.read_end, write_end = os.pipe()
        self._write_end = os.fdopen(write_end, "wb", buffering=0)

    def hand_over(self) -> None:
        """The child has inherited its end; here it is of no use."""
        os.close(self.read_end)

    def stop(self) -> None:
        """Tell the child to finish; once is enough, and a child that has gone meanwhile needs no telling."""
        with contextlib.suppress(BrokenPipeError):
            self._write_end.write(b".")

    def close(self) -> None:
        self._write_end.close()


# -- the child's side ----------------------------------------------------------------------------------------------


def stopping() -> bool:
    """Whether to claim nothing more: told to stop, or left behind."""
    return bool(_word(0))


def lost() -> bool:
    """Whether the supervisor is gone."""
    return bool(_word(0) & select.POLLHUP)


def wait(seconds: float) -> bool:
    """Sleep for `seconds`, or until it is time to stop. Returns whether it is."""
    if _end() is None:
        time.sleep(seconds)
        return False
    return bool(_word(seconds))


def watch(on_lost: Callable[[], None] | None = None) -> threading.Thread | None:
    """Start a thread that calls `on_lost` when the supervisor is gone: by default it ends the whole process group.

    Returns None, and does nothing, in a process without a supervisor. A fork does not inherit the thread.
    """
    if _end() is None:
        return None
    thread = threading.Thread(target=_watch, args=[on_lost or end_group], name="lifeline", daemon=True)
    thread.start()
    return thread


def bind() -> None:
    """Have the kernel (Linux) tell a child of the supervisor's when that is gone: while it starts, nobody watches yet.

    It is told by a signal of its own, so that it takes along all of its group, also what handlers have started.
    """
    if _end() is not None:
        signal.signal(signal.SIGUSR2, lambda number, frame: end_group())
        signal_at_parents_death(signal.SIGUSR2)
        if lost():
            end_group()


def end_group() -> None:
    """End this process and all others of its group at once. The supervisor started the group for this child alone."""
    os.killpg(0, signal.SIGKILL)


def _watch(on_lost: Callable[[], None]) -> None:
    while not lost():
        # With a byte in the pipe poll() returns at once, whatever it is asked for: then look twice a second.
        _word(60) if not stopping() else time.sleep(0.5)
    on_lost()


def _word(seconds: float) -> int:
    """What poll() says of the pipe after at most `seconds`: 0 for nothing."""
    end = _end()
    if end is None:
        return 0
    poll = select.poll()
    poll.register(end, select.POLLIN)
    return next((event for _, event in poll.poll(seconds * 1000)), 0)


@functools.cache
def _end() -> int | None:
    """The descriptor of our end, None without one. The variable is taken away: it means nothing to a program that a
    handler starts, where the number may stand for another file."""
    number = os.environ.pop(VARIABLE, "")
    if not number.isdecimal():
        return None
    try:
        if not stat.S_ISFIFO(os.fstat(int(number)).st_mode):
            return None
        os.set_inheritable(int(number), False)
    except OSError:
        return None
    return int(number)
