"""The end of a web process: its sockets are closed with "restart", so that clients come back at once and lose nothing.

daphne cuts its sockets when it is stopped, and tells an application nothing before. Who stops it sends SIGUSR1 first,
and SIGTERM a moment later; uvicorn closes its sockets with the same code itself.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

from realtime import switchboard


def install() -> None:
    """Take the signal, unless this is no process of our own: a thread of a reloader, a server that uses it itself."""
    is_ours = threading.current_thread() is threading.main_thread()
    if is_ours and signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
        signal.signal(signal.SIGUSR1, close_sockets)


def close_sockets(signum: int = 0, frame: FrameType | None = None) -> None:
    """Close every socket of this process with 1012. From any thread; returns at once."""
    for loop, board in switchboard.everywhere():
        loop.call_soon_threadsafe(board.close_all)
