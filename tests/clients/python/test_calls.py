"""Which requests are sent again, and when."""

from __future__ import annotations

import pytest

from taskhub_client import Conflict, InvalidRequest, RateLimited, Unavailable, calls
from taskhub_client.effects import Answer, Unreachable
from tests.clients.python.stage import Stage, answer

AWAY = Unreachable("connection refused")


def busy(status=503, **headers):
    return answer({"detail": "Try again shortly."}, status, **headers)


def test_a_question_is_asked_again_until_it_is_answered():
    stage = Stage(answers=[AWAY, busy(), busy(502), answer({"id": "t"})])
    assert stage.play(calls.task("t")) == {"id": "t"}
    assert len(stage.rested) == 3


def test_a_submission_is_repeated_under_one_key():
    stage = Stage(answers=[AWAY, AWAY, answer({"id": "t"})])
    assert stage.play(calls.submit("test.echo", None, None, {})) == {"id": "t"}
    assert len({ask.headers["Idempotency-Key"] for ask in stage.asked}) == 1
    assert stage.asked[0].body == {"name": "test.echo"}


def test_two_submissions_have_two_keys():
    stage = Stage(answers=[answer({})] * 2)
    for _ in range(2):
        stage.play(calls.submit_pipeline("p", [], None, None, None))
    first, second = (ask.headers["Idempotency-Key"] for ask in stage.asked)
    assert first != second


@pytest.mark.parametrize("failure", [AWAY, busy()])
def test_a_verb_is_sent_once(failure):
    stage = Stage(answers=[failure, answer({})])
    with pytest.raises(Unavailable):
        stage.play(calls.act("t", "cancel"))
    assert len(stage.asked) == 1


@pytest.mark.parametrize(("status", "kind"), [(400, InvalidRequest), (409, Conflict), (422, InvalidRequest)])
def test_a_refusal_is_final(status, kind):
    stage = Stage(answers=[answer({"detail": "No."}, status)])
    with pytest.raises(kind, match=r"^No\.$"):
        stage.play(calls.task("t"))


def test_retry_after_is_obeyed():
    stage = Stage(answers=[busy(429, **{"retry-after": "30"}), answer({})])
    stage.play(calls.task("t"))
    assert stage.rested == [30]


def test_who_would_have_to_wait_too_long_is_told():
    with pytest.raises(RateLimited) as raised:
        Stage(answers=[busy(429, **{"retry-after": "3600"})]).play(calls.task("t"))
    assert raised.value.retry_after == 3600


def test_patience_ends():
    stage = Stage(answers=[AWAY] * calls.TRIES)
    with pytest.raises(Unavailable, match="connection refused"):
        stage.play(calls.task("t"))
    assert len(stage.rested) == calls.TRIES - 1


def test_a_portal_that_answers_in_the_hubs_place_is_no_hub():
    portal = Answer(200, {}, b"<html>Welcome to our network")
    assert Stage(answers=[portal, answer({"id": "t"})]).play(calls.task("t")) == {"id": "t"}


def test_an_id_cannot_lead_elsewhere():
    stage = Stage(answers=[answer({})])
    stage.play(calls.task("../queues?x"))
    assert stage.asked[0].path == "/tasks/..%2Fqueues%3Fx"
