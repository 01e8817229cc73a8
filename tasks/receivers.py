"""What happens in this process after a change has been committed. Imported once, at start-up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.dispatch import receiver

from tasks import hints
from tasks.models import TaskEvent
from tasks.pipelines.advance import follow
from tasks.signals import log_written, task_logged


@receiver([log_written, task_logged], dispatch_uid="tasks.hint")
def hint(**_: Any) -> None:
    """Wake the idle workers and the feeds: there may be work, and there is news."""
    hints.send()


@receiver(log_written, dispatch_uid="tasks.pipelines")
def advance_pipelines(events: Sequence[TaskEvent], **_: Any) -> None:
    """What depends on a step goes on at once; what this process cannot do any more, a sweep does."""
    follow(events)
