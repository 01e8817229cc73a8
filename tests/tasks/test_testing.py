"""`run_pending`: every way in which an attempt can end, without a worker and inside the test's transaction."""

from __future__ import annotations

import pytest

from tasks import submit
from tasks.testing import run_pending

pytestmark = pytest.mark.django_db


def test_what_is_due_is_run_and_returned():
    task = submit("test.echo", {"value": "x"})
    (done,) = run_pending()
    assert (done.pk, done.status, done.result) == (task.pk, "completed", {"value": "x"})
    assert run_pending() == []


def test_async_handlers_too():
    submit("test.async", {"value": "x"})
    assert [task.result for task in run_pending()] == [{"value": "x"}]


@pytest.mark.parametrize(
    ("name", "status", "attempt"),
    [("test.fail", "failed", 1), ("test.permanent", "dead_lettered", 1), ("test.snooze", "pending", 0)],
)
def test_each_end_of_an_attempt(name, status, attempt):
    submit(name)
    (task,) = run_pending()
    assert (task.status, task.attempt) == (status, attempt)


def test_progress_log_and_state_are_kept():
    submit("test.steps", {"count": 3, "pause": 0})
    (task,) = run_pending()
    assert (task.percent, task.state) == (100, {"done": 3})
    assert [line.message for line in task.logs.order_by("seq")] == ["step 0", "step 1", "step 2"]
    assert task.version == 4  # created, claimed, progress, completed


def test_what_lies_ahead_stays():
    submit("test.echo", delay=60)
    assert run_pending() == []
