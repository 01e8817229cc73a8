"""manage.py demo: one task of each kind, in the states that it promises."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from tasks.models import Pipeline, Task

pytestmark = pytest.mark.django_db


def test_it_submits_one_of_each_and_says_so(capsys, admin_user):
    call_command("demo")
    printed = capsys.readouterr().out
    tasks = list(Task.objects.order_by("pk"))
    first_step = tasks.pop()
    assert all(str(task.pk) in printed for task in [*tasks, Pipeline.objects.get()])
    assert (first_step.name, first_step.payload) == ("demo.report", {"month": "2026-11", "pages": 5})
    assert [(task.name, task.status, task.ready) for task in tasks] == [
        ("demo.hello", "pending", True),
        ("demo.report", "pending", True),
        ("demo.flaky", "pending", True),
        ("demo.broken", "pending", True),
        ("demo.hello", "pending", False),
        ("demo.report", "paused", False),
        ("demo.report", "canceled", False),
        ("callback", "pending", True),
        ("callback", "pending", True),
        ("callback", "pending", True),
    ]
    assert {task.owner for task in tasks} == {admin_user}


def test_every_end_comes_within_two_minutes(capsys):
    """As far as waits go: with the longest that jitter allows."""
    call_command("demo")
    flaky = Task.objects.get(name="demo.flaky").retry_policy
    assert sum(flaky.longest(attempt) for attempt in (1, 2)) < 60
    later = Task.objects.get(name="demo.hello", ready=False)
    assert (later.run_at - later.created_at).total_seconds() < 61
