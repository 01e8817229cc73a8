"""What one client may send. Pure."""

from __future__ import annotations

from collections import deque

FRAME_SIZE = 64 * 1024  # bytes
FRAMES = 20
WINDOW_S = 10.0


class Rate:
    """So many frames in a window that slides."""

    def __init__(self, frames: int = FRAMES, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._times: deque[float] = deque(maxlen=frames)

    def admits(self, now: float) -> bool:
        """Count a frame that came at `now`, in seconds; False when it is one too many."""
        full = len(self._times) == self._times.maxlen
        if full and now - self._times[0] < self._window_s:
            return False
        self._times.append(now)
        return True


def is_too_large(frame: str | bytes) -> bool:
    return len(frame) > FRAME_SIZE or len(frame.encode() if isinstance(frame, str) else frame) > FRAME_SIZE
