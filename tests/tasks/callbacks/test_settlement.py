"""What a receiver that answered "later" says in the end, and what becomes of those that never do."""

from __future__ import annotations

import datetime as dt

import pytest

from tasks import lifecycle, submit
from tasks.callbacks.delivery import attempt_token
from tasks.callbacks.settlement import Unauthenticated, end_overdue, report, settle
from tasks.exceptions import StaleLease
from tasks.models import Attempt, Task
from tests.factories import claim, make_worker

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent():
    """A callback whose request is on the way."""
    return claim(submit(callback_url="http://127.0.0.1:9/", max_attempts=2), make_worker(role="loop"))


@pytest.fixture
def deferred(sent):
    assert lifecycle.defer(sent.pk, sent.lease, 3600, "test")
    return sent


def token(task: Task) -> str:
    return attempt_token(task.pk, task.lease)


def test_a_result_completes_the_attempt_and_is_kept_with_it(deferred):
    task = settle(deferred.pk, token(deferred), result={"pages": 3})
    assert (task.status, task.result) == ("completed", {"pages": 3})
    assert Attempt.objects.get().response == {"reported": {"result": {"pages": 3}}}


def test_the_receiver_may_be_faster_than_its_own_answer(sent):
    """Its token is good from the moment the request left; the 202 that comes afterwards finds the attempt over."""
    assert settle(sent.pk, token(sent), result=1).status == "completed"
    assert not lifecycle.defer(sent.pk, sent.lease, 3600, "test")


@pytest.mark.parametrize("reported", [{"result": 1}, {"error": {"type": "OutOfPaper", "detail": "no paper"}}])
def test_the_same_again_is_harmless_and_anything_else_is_late(deferred, reported):
    first = settle(deferred.pk, token(deferred), **reported)
    again = settle(deferred.pk, token(deferred), **reported)
    assert (again.status, again.version) == (first.status, first.version)
    with pytest.raises(StaleLease):
        settle(deferred.pk, token(deferred), result="something else")


def test_an_error_is_a_failure_that_is_tried_again(deferred):
    task = settle(deferred.pk, token(deferred), error={"type": "OutOfPaper", "detail": "no paper"})
    assert (task.status, task.error["type"], task.attempt) == ("failed", "OutOfPaper", 1)


def test_a_token_opens_its_own_task_only(deferred):
    other = claim(submit(callback_url="http://127.0.0.1:9/"), make_worker(role="loop"))
    for verb in (lambda: settle(deferred.pk, token(other)), lambda: report(deferred.pk, token(other), 5, "")):
        with pytest.raises(Unauthenticated):
            verb()
    with pytest.raises(Task.DoesNotExist):
        settle(make_worker().pk, token(deferred))


def test_progress_is_shown_until_the_attempt_has_ended(deferred):
    assert report(deferred.pk, token(deferred), 40, "half").percent == 40
    settle(deferred.pk, token(deferred), result=1)
    with pytest.raises(StaleLease):
        report(deferred.pk, token(deferred), 50, "more")


def test_who_never_reports_fails_at_the_deadline_and_not_before(deferred):
    assert end_overdue() == 0
    Task.objects.update(deferred_until=deferred.created_at - dt.timedelta(seconds=1))
    assert (end_overdue(), end_overdue()) == (1, 0)
    task = Task.objects.get()
    assert (task.status, task.error["type"], task.deferred_until) == ("failed", "DeadlineExceeded", None)


def test_a_cancel_that_came_before_the_answer_is_not_forgotten(sent):
    """Once the receiver has said "later" no worker is left that could end the attempt."""
    lifecycle.cancel(sent.pk, "test")
    lifecycle.defer(sent.pk, sent.lease, 3600, "test")
    task = Task.objects.get()
    assert (task.status, task.lease, Attempt.objects.get().outcome) == ("canceled", None, "canceled")


def test_a_pause_that_came_before_the_answer_waits_for_the_next_try(sent):
    lifecycle.pause(sent.pk, "test")
    lifecycle.defer(sent.pk, sent.lease, 3600, "test")
    assert Task.objects.get().status == "processing"
    assert settle(sent.pk, token(sent), error={"type": "X", "detail": "x"}).status == "paused"
