"""The verbs of a queue: pause and resume. A paused queue starts nothing; what runs already goes on."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction

from tasks import audit, hints
from tasks.database import database_now, transactional
from tasks.models import Queue


def pause(name: str, user: Any) -> bool:
    """False when it was paused already. `name` need not hold tasks yet."""
    return _switch(name, user, paused=True)


def resume(name: str, user: Any) -> bool:
    """False when it wasn't paused."""
    return _switch(name, user, paused=False)


@transactional
def _switch(name: str, user: Any, *, paused: bool) -> bool:
    """There is no event of a task to tell of it, so that Django's log of operations is the record."""
    queue, _ = Queue.objects.select_for_update().get_or_create(name=name)
    before = queue.paused_at is not None
    if before == paused:
        return False
    queue.paused_at = database_now() if paused else None
    queue.save(update_fields=["paused_at"])
    change = "running → paused" if paused else "paused → running"
    audit.record(user, [queue], f"{'pause' if paused else 'resume'}: {change}")
    for topic in (hints.NEWS, hints.WORK):  # the streams look again, and so do the workers that wait
        transaction.on_commit(partial(hints.send, topic))
    return True
