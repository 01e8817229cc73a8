"""What is sent for a task, who signs it, and what an answer means for the attempt."""

from __future__ import annotations

import pytest

from tasks import submit
from tasks.callbacks import delivery
from tasks.callbacks.request import Answer, Verdict
from tasks.callbacks.signature import generate_secret
from tasks.models import CallbackSecret
from tests.factories import claim, make_worker

pytestmark = pytest.mark.django_db


@pytest.fixture
def task(alice):
    return claim(submit(callback_url="http://127.0.0.1:9/", payload={"a": 1}, owner=alice), make_worker(role="loop"))


def answer(outcome: Verdict, **fields) -> Answer:
    plain = {
        "status": 200, "headers": {}, "body": "", "truncated": False, "result": None, "error": None,
        "retry_after": None, "elapsed": 0.1,
    }  # fmt: skip
    return Answer(outcome=outcome, **plain | fields)


def test_the_hub_signs_unless_the_owner_has_a_secret(task, alice, settings):
    assert delivery.callback_for(task).secrets == [settings.TASKHUB_CALLBACK_SECRET]
    new, old = generate_secret(), generate_secret()
    CallbackSecret.objects.create(user=alice, secret=f"{new} {old}")
    assert delivery.callback_for(task).secrets == [new, old]


def test_the_token_is_the_attempts_own(task):
    token = delivery.attempt_token(task.pk, task.lease)
    assert delivery.callback_for(task).attempt_token == token
    assert delivery.is_token_of(token, task.pk, task.lease)
    assert not delivery.is_token_of(token, task.pk, make_worker().pk)
    assert not delivery.is_token_of(token, task.pk, None)


@pytest.mark.parametrize(
    ("verdict", "action"), [(Verdict.COMPLETED, "complete"), (Verdict.GONE, "bury"), (Verdict.FAILED, "fail")]
)
def test_each_verdict_is_one_end(task, verdict, action):
    error = None if verdict is Verdict.COMPLETED else {"type": "CallbackStatus", "detail": "500"}
    outcome = delivery.outcome_of(task, answer(verdict, error=error, retry_after=7))
    assert (outcome.action, outcome.delay, outcome.response["status"]) == (action, 7, 200)
    assert (outcome.error is None) == (error is None)


def test_a_receiver_that_quotes_the_request_tells_no_secret(task):
    task.payload, task.callback_headers = {"password": "hunter22"}, {"X-Any": "opensesame", "X-Short": "a"}
    error = {"type": "CallbackStatus", "detail": "hunter22 is wrong"}
    outcome = delivery.outcome_of(task, answer(Verdict.FAILED, body="hunter22 opensesame a", error=error))
    assert outcome.response["body"] == "*** *** a"
    assert outcome.error["detail"] == "*** is wrong"


def test_without_an_answer_there_is_no_response(task):
    error = {"type": "CallbackConnection", "detail": "refused"}
    assert delivery.outcome_of(task, answer(Verdict.FAILED, status=None, error=error)).response is None


def test_a_deferred_attempt_has_an_hour_unless_the_task_said_otherwise(alice):
    default = submit(callback_url="http://127.0.0.1:9/")
    own = submit(callback_url="http://127.0.0.1:9/", timeout=20)
    assert (delivery.deferral(default), delivery.deferral(own)) == (3600, 20)
