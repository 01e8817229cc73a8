"""What people have done, in Django's own log of operations: who, when, to what, before and after.

What happens to tasks and pipelines is in the event log besides, with the same names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.db.models import Model

__all__ = ["ADDITION", "CHANGE", "record"]


def record(user: Any, rows: Sequence[Model], message: str, flag: int = CHANGE) -> None:
    """One entry for each row; `message` is as "pause: running → paused". In the transaction that changes the rows."""
    if rows:
        LogEntry.objects.log_actions(user.pk, rows, flag, message)
