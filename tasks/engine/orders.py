"""What the supervisor is told from outside, by signals. No Django."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType


class Orders:
    """Once `heed` was called, signals no longer interrupt: they are noted, and wake whoever waits."""

    def __init__(self) -> None:
        self._received: list[int] = []

    def heed(self) -> None:
        self._woken, wake = os.pipe()
        for end in (self._woken, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)  # it only wakes
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, self._note)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # else `nohup` wants us to stay
            signal.signal(signal.SIGHUP, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._received.append(number)

    @property
    def to_stop(self) -> bool:
        return bool(self._received)

    @property
    def to_hurry(self) -> bool:
        """A Ctrl-C after the first order. A second SIGTERM is none: `make` passes on what its whole group received."""
        return signal.SIGINT in self._received[1:]

    def wait(self, seconds: float) -> None:
        """Until a signal comes, `seconds` at most."""
        if select.select([self._woken], [], [], max(seconds, 0))[0]:
            os.read(self._woken, 4096)
