"""How long each handler usually takes: recent means, which the end of a run is estimated from.

They lie in memory, so that a claim asks no database for them; each worker's pulse adds what it has seen to the table,
and learns what the others have. Only runs count that went through at their first try: what goes on where it was left
takes less. Callbacks have one name and many receivers, so nothing is known of them.
"""

from __future__ import annotations

import threading
from collections import defaultdict

from django.db.models import F

from tasks.models import HandlerDuration

MEMORY = 0.2  # the weight of what is new in a mean

_lock = threading.Lock()
_known: dict[str, float] = {}
_new: defaultdict[str, list[float]] = defaultdict(list)


def note(name: str, seconds: float) -> None:
    """A run of the handler called so has completed."""
    with _lock:
        _new[name].append(seconds)


def expected(name: str) -> float | None:
    """In seconds; None when nobody has told yet."""
    return _known.get(name)


def share() -> None:
    """Write down what is new, and read what all know. What cannot be written is an estimate, and may be lost."""
    with _lock:
        new = {name: sum(taken) / len(taken) for name, taken in _new.items()}
        _new.clear()
    for name, mean in sorted(new.items()):
        rows = HandlerDuration.objects.filter(pk=name)
        if not rows.update(mean=F("mean") + MEMORY * (mean - F("mean"))):
            HandlerDuration.objects.bulk_create([HandlerDuration(name=name, mean=mean)], ignore_conflicts=True)
    _known.update(HandlerDuration.objects.values_list("name", "mean"))
