"""The word to stop in a cluster that runs without our supervisor: one byte that all its processes share.

django-q2's parent process tells its workers nothing when it is told to stop. A byte of shared memory has no lock, so
a process that is killed can leave none behind.
"""

from __future__ import annotations

import mmap

_word = mmap.mmap(-1, 1)  # shared with every process that is forked from here


def say() -> None:
    """Whoever is forked from this process, or from the same parent after this import, hears it."""
    _word[0] = 1


def is_said() -> bool:
    return _word[0] == 1
