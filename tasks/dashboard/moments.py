"""Times as people say them: "3m ago", "in 12s", "for 2h 05m". Pure.

`static/taskhub/time.js` says them in the same words, so that a page reads the same before and after its first tick;
tests/js/moments.json holds both to it.
"""

from __future__ import annotations

import math

MINUTE, HOUR, DAY = 60, 3600, 86_400


def said(kind: str, seconds: float) -> str:
    """A moment `seconds` ago (negative: ahead): `ago`, `for` how long, `due` or `retry` when, how much is `left`."""
    past = max(int(seconds), 0)
    if kind == "ago":
        return f"{short(past)} ago" if past else "now"
    if kind == "left":
        return f"about {precise(math.ceil(-seconds))} left" if seconds < 0 else ""
    if kind == "for" or (kind == "due" and seconds >= 0):
        return f"for {precise(past)}"
    if seconds >= 0:
        return "retry due"
    ahead = f"in {short(int(-seconds))}"
    return f"retry {ahead}" if kind == "retry" else ahead


def short(seconds: int) -> str:
    """In its largest unit."""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m")):
        if seconds >= unit:
            return f"{seconds // unit}{name}"
    return f"{seconds}s"


def precise(seconds: int) -> str:
    """In its two largest units."""
    if seconds >= DAY:
        return f"{seconds // DAY}d {seconds % DAY // HOUR}h"
    if seconds >= HOUR:
        return f"{seconds // HOUR}h {seconds % HOUR // MINUTE:02}m"
    if seconds >= MINUTE:
        return f"{seconds // MINUTE}m {seconds % MINUTE:02}s"
    return f"{seconds}s"


def duration(seconds: float) -> str:
    """How long something took, with the digits that matter."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < MINUTE else precise(int(seconds))
