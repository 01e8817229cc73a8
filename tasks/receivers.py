"""What happens in this process after a change has been committed. Imported once, at start-up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.dispatch import receiver

from tasks import hints
from tasks.models import TaskEvent
from tasks.pipelines.advance import follow
from tasks.signals import log_written, task_logged
from tasks.states import WAITING


@receiver([log_written, task_logged], dispatch_uid="tasks.news")
def hint_at_news(**_: Any) -> None:
    """Wake whoever follows the log."""
    hints.send()


@receiver(log_written, dispatch_uid="tasks.work")
def hint_at_work(events: Sequence[TaskEvent], **_: Any) -> None:
    """Wake the idle workers if there is something to claim, now or later. A busy hub would wake them all the time."""
    if any(event.status in WAITING for event in events):
        hints.send(hints.WORK)


@receiver(log_written, dispatch_uid="tasks.pipelines")
def advance_pipelines(events: Sequence[TaskEvent], **_: Any) -> None:
    """What depends on a step goes on at once; what this process cannot do any more, a sweep does."""
    follow(events)
