"""Noticing in development that the code has changed. No Django: the supervisor says where the code is."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

logger = logging.getLogger(__name__)

EACH = 0.7  # seconds between two looks
SUFFIXES = (".py", ".html")  # templates are cached by the web process


class Sources:
    """The files below some folders, as they were at the last look."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = list(folders)
        self._seen = dict(self._scan())
        self._broken: set[str] = set()
        self._next = 0.0

    def have_changed(self) -> bool:
        """Whether something has changed since the last look and everything can be compiled.

        What cannot is logged; then the next change is waited for, and what runs goes on.
        """
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + EACH
        before, self._seen = self._seen, dict(self._scan())
        if self._seen == before:
            return False
        suspects = self._broken | {path for path, changed in self._seen.items() if before.get(path) != changed}
        self._broken = set(filter(_is_broken, suspects))
        return not self._broken

    def _scan(self) -> Iterator[tuple[str, int]]:
        """Each file and the moment of its last change, in ns."""
        pending = [os.fspath(folder) for folder in self._folders]
        while pending:
            try:
                entries = list(os.scandir(pending.pop()))
            except OSError:  # gone meanwhile
                continue
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith((".", "__")):
                    pending.append(entry.path)
                elif entry.name.endswith(SUFFIXES):
                    yield from _time_of(entry)


def _time_of(entry: os.DirEntry[str]) -> Iterator[tuple[str, int]]:
    try:
        yield entry.path, entry.stat().st_mtime_ns
    except OSError:  # deleted since
        return


def _is_broken(path: str) -> bool:
    if not path.endswith(".py"):
        return False
    try:
        compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        logger.error("%s: %s. What runs goes on; waiting for the next change.", path, error)
        return True
    except OSError:
        return False
    return False
