"""Ending with one's parent, where the kernel offers it (Linux). Elsewhere the workers notice by themselves."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies. A fork does not inherit the wish and has to ask anew.

    A parent that has died before could not be waited for: then this process ends here.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    parent = multiprocessing.parent_process()
    if parent and os.getppid() != parent.pid:
        os._exit(1)
