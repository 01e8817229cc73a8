"""manage.py demo: one task of each kind, so that every state is seen within two minutes."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from tasks import INPUT, lifecycle, pipeline, submit
from tasks.models import Pipeline, Task

ACTOR, TAGS = "demo", ["demo"]
SOON = {"delay": 10, "factor": 1.5}  # seconds: the first failure is tried again within ten


class Command(BaseCommand):
    help = "Submit one task of each kind, so that every state can be seen on the dashboard within two minutes."

    def handle(self, *args: Any, **options: Any) -> None:
        for sentence, submitted in everything():
            self.stdout.write(f"{submitted.id}  {sentence}")
        self.stdout.write(f"\nWatch them at {settings.TASKHUB_BASE_URL}/ - the receiver is at /demo/ there.")


def everything() -> list[tuple[str, Task | Pipeline]]:
    """What is submitted, each with what will be seen of it."""
    return [
        ("completes at once", _submit("demo.hello", {"name": "TaskHub"})),
        ("shows its progress for twenty seconds", _submit("demo.report")),
        ("fails twice, then completes", _submit("demo.flaky", retry=SOON)),
        ("is dead-lettered at once: nothing can mend it", _submit("demo.broken")),
        ("waits a minute, then completes", _submit("demo.hello", {"name": "later"}, delay=60)),
        ("is paused until you resume it", lifecycle.pause(_submit("demo.report", delay=3600).pk, ACTOR)),
        ("is canceled", lifecycle.cancel(_submit("demo.report", delay=3600).pk, ACTOR)),
        ("is an HTTP callback that is answered", _callback("")),
        ("is one whose receiver is broken: repair it at /demo/ and resurrect the task", _callback("/broken")),
        ("is one whose receiver answers when you press Finish at /demo/", _callback("/later")),
        ("is a pipeline of three steps, one of which fails twice", _pipeline()),
    ]


def _pipeline() -> Pipeline:
    draft = (
        pipeline("monthly", input="2026-11")
        .step("report", "demo.report", {"month": INPUT, "pages": 5}, tags=TAGS)
        .step("send", "demo.flaky", retry=SOON, tags=TAGS)
        .step("thank", "demo.hello", {"name": INPUT}, tags=TAGS)
    )
    return draft.submit(owner=_owner())


def _submit(name: str | None, payload: dict[str, Any] | None = None, **options: Any) -> Task:
    return submit(name, payload, owner=_owner(), tags=TAGS, **options)


def _owner() -> Any:
    return get_user_model().objects.filter(username="admin").first()


def _callback(path: str) -> Task:
    url = f"{settings.TASKHUB_BASE_URL}/demo/receiver{path}"
    return _submit(None, {"order": 4711}, callback_url=url, max_attempts=3, retry=SOON)
