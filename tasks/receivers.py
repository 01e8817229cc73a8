"""What happens in this process after a change has been committed. Imported once, at start-up."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from tasks import hints
from tasks.signals import task_changed


@receiver(task_changed, dispatch_uid="tasks.hint")
def hint(**_: Any) -> None:
    """Wake the idle workers and the feeds: there may be work, and there is news."""
    hints.send()
