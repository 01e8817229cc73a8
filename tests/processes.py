"""Real processes, as tests look at them: which there are, and waiting until something is true of them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 120.0  # seconds; reached only when something is broken


def until(condition: Callable[[], T], what: str = "", patience: float = PATIENCE) -> T:
    """The first true value of `condition`. Fails, saying `what` was waited for, when none comes."""
    end = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < end, f"waited in vain: {what or condition}"
        time.sleep(0.05)
    return value


def alive(*pids: int) -> set[int]:
    """Those that run; a zombie runs no more, whoever may have to collect it."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,stat="], capture_output=True, text=True, check=True).stdout
    running = {int(pid) for pid, stat in map(str.split, listing.splitlines()) if not stat.startswith("Z")}
    return running & set(pids)


def marked(mark: str) -> dict[int, str]:
    """All that runs with `mark` in its environment, by process id."""
    listing = subprocess.run(["ps", "axeww", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout
    rows = (line.strip().partition(" ") for line in listing.splitlines() if mark in line)
    return {int(pid): command for pid, _, command in rows if alive(int(pid))}


# -- as Linux shows them, in /proc -----------------------------------------------------------------------------------


def running() -> dict[int, int]:
    """The parent of each process that runs, by their ids."""
    found: dict[int, int] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                state, parent, *_ = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
                if state != "Z":
                    found[int(entry.name)] = int(parent)
    return found


def children(pid: int) -> list[int]:
    """In the order in which they were started."""
    return sorted(child for child, parent in running().items() if parent == pid)


def descendants(pid: int) -> list[int]:
    found = children(pid)
    return found + [below for child in found for below in descendants(child)]


def environment(pid: int) -> list[bytes]:
    """The variables with which it was started, each as `NAME=value`."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return []
