"""Receivers that answer later: the attempt's token, and nothing else, ends the attempt; late words change nothing."""

from __future__ import annotations

import datetime as dt

import pytest

from tasks import lifecycle, submit
from tasks.callbacks import settlement
from tasks.callbacks.delivery import attempt_token
from tasks.models import Task
from tasks.states import Actions
from tests.factories import claim, end, make_worker

pytestmark = pytest.mark.django_db


@pytest.fixture
def deferred():
    task = claim(submit(callback_url="http://127.0.0.1:9/", max_attempts=2), make_worker(role="loop"))
    assert lifecycle.defer(task.pk, task.lease, 3600, "test")
    return task


def token(task: Task) -> dict[str, str]:
    return {"taskhub_attempt_token": attempt_token(task.pk, task.lease)}


def test_a_result_completes_the_task_and_may_come_twice(anonymous, deferred):
    for _ in range(2):
        answer = anonymous.post(f"/tasks/{deferred.pk}/result", {"result": {"pages": 3}}, **token(deferred))
        assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    assert Task.objects.get(pk=deferred.pk).result == {"pages": 3}


def test_another_result_is_a_conflict(anonymous, deferred):
    anonymous.post(f"/tasks/{deferred.pk}/result", {"result": 1}, **token(deferred))
    assert anonymous.post(f"/tasks/{deferred.pk}/result", {"result": 2}, **token(deferred)).status_code == 409
    assert Task.objects.get(pk=deferred.pk).result == 1


@pytest.mark.parametrize("error", ["no paper", {"type": "OutOfPaper", "detail": "no paper"}])
def test_an_error_is_an_ordinary_failure(anonymous, deferred, error):
    answer = anonymous.post(f"/tasks/{deferred.pk}/result", {"error": error}, **token(deferred))
    assert (answer.status_code, answer.json()["status"]) == (200, "failed")
    assert Task.objects.get(pk=deferred.pk).error["detail"] == "no paper"


def test_progress_on_the_way(anonymous, deferred):
    answer = anonymous.post(f"/tasks/{deferred.pk}/progress", {"percent": 40, "message": "half"}, **token(deferred))
    assert (answer.status_code, answer.json()["percent"], answer.json()["message"]) == (200, 40, "half")


def test_progress_tells_when_it_will_be_through(anonymous, deferred):
    began = deferred.started_at - dt.timedelta(seconds=60)
    Task.objects.filter(pk=deferred.pk).update(started_at=began)  # as if it had been at work for a minute
    anonymous.post(f"/tasks/{deferred.pk}/progress", {"percent": 50}, **token(deferred))
    expected = began + dt.timedelta(seconds=120)
    assert abs(Task.objects.get(pk=deferred.pk).eta - expected) < dt.timedelta(seconds=30)


def test_the_token_of_an_earlier_attempt_is_stale(anonymous, deferred):
    old = token(deferred)
    end(deferred, Actions.FAIL)
    lifecycle.retry(deferred.pk, "test")
    claim(deferred)
    for path, body in (("result", {"result": 1}), ("progress", {"percent": 1})):
        assert anonymous.post(f"/tasks/{deferred.pk}/{path}", body, **old).status_code == 409
    assert Task.objects.get(pk=deferred.pk).status == "processing"


@pytest.mark.parametrize("headers", [{}, {"taskhub_attempt_token": "0" * 64}, {"taskhub_attempt_token": "ä"}])
def test_without_a_token_of_the_task_nothing_happens(anonymous, deferred, headers):
    for path, body in (("result", {"result": 1}), ("progress", {"percent": 1})):
        assert anonymous.post(f"/tasks/{deferred.pk}/{path}", body, **headers).status_code == 401
    assert Task.objects.get(pk=deferred.pk).status == "processing"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("result", {}, "result"),
        ("result", {"result": 1, "error": "x"}, "result"),
        ("result", {"outcome": 1}, "outcome"),
        ("result", {"result": "\0"}, "result"),
        ("result", {"error": 7}, "error"),
        ("progress", {"percent": 101}, "percent"),
        ("progress", {"message": "x"}, "percent"),
    ],
)
def test_nonsense_names_its_field(anonymous, deferred, path, body, field):
    answer = anonymous.post(f"/tasks/{deferred.pk}/{path}", body, **token(deferred))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


def test_a_receiver_that_never_reports_fails_the_attempt(deferred):
    Task.objects.filter(pk=deferred.pk).update(deferred_until=deferred.created_at)
    assert settlement.end_overdue() == 1
    task = Task.objects.get(pk=deferred.pk)
    assert (task.status, task.error["type"]) == ("failed", "DeadlineExceeded")


def test_cancel_acts_at_once_and_pause_is_refused(api, deferred):
    operator = api("olga", "operator")
    assert operator.post(f"/tasks/{deferred.pk}/pause").status_code == 409
    assert operator.post(f"/tasks/{deferred.pk}/cancel").json()["status"] == "canceled"
