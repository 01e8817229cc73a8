"""A canary in every place where somebody may put a secret is seen nowhere."""

from __future__ import annotations

import logging

import pytest

from tasks import access, submit
from tasks.masking import MASK, is_secret
from tasks.models import Task
from tasks.testing import run_pending
from tests.factories import claim
from tests.tasks.api.conftest import assert_problem

CANARY = "canary-5f2b"
BODY = {
    "callback_url": f"https://example.org/hook?api_key={CANARY}",
    "callback_headers": {"X-Key": CANARY, "Authorization": f"Bearer {CANARY}"},
    "payload": {"password": CANARY, "nested": [{"X-Api-Key": CANARY, "deep": {"client_secret": {"a": CANARY}}}]},
}


def test_nowhere_in_what_the_api_answers(operator, caplog):
    with caplog.at_level(logging.DEBUG):
        created = operator.post("/tasks", BODY)
        assert created.status_code == 201, created.content
        task = created.json()
        path = f"/tasks/{task['id']}"
        answers = [created, operator.post("/tasks/bulk", {"tasks": [BODY]}), operator.get("/tasks", {"q": "hook"})]
        answers += [operator.post(f"{path}/pause"), operator.post(f"{path}/resume")]
        claim(Task.objects.get(pk=task["id"]))
        reads = [path, f"{path}/status", f"{path}/events", f"{path}/attempts", f"{path}/logs", "/tasks", "/queue/tasks"]
        answers += [operator.get(read) for read in [*reads, "/queue/status", "/workers", "/events", "/metrics"]]
    for answer in answers:
        assert answer.status_code < 300
        assert CANARY not in answer.content.decode()
    assert CANARY not in caplog.text
    assert task["payload"]["password"] == MASK


@pytest.fixture
def detail_is_secret(settings):
    settings.TASKHUB_MASKED_KEYS = ["detail"]
    is_secret.cache_clear()
    yield
    is_secret.cache_clear()


def test_an_error_that_quotes_it_is_scrubbed(operator, detail_is_secret):
    task = submit("test.fail", {"detail": f"wrong: {CANARY}"}, max_attempts=1)
    run_pending()
    answers = [operator.get(f"/tasks/{task.pk}{part}") for part in ("", "/attempts", "/events", "/status")]
    assert answers[0].json()["error"]["detail"] == MASK
    assert not any("wrong" in answer.content.decode() for answer in answers)


@pytest.mark.parametrize("field", ["payload", "callback_headers"])
def test_a_refusal_does_not_repeat_it(operator, field):
    body = BODY | {field: {"password": [CANARY], "\0": CANARY}, "priority": CANARY}
    assert CANARY not in str(assert_problem(operator.post("/tasks", body), 400, *named(operator, body)))


def named(client, body):
    return [error["field"] for error in client.post("/tasks", body).json()["errors"]]


def test_a_token_is_shown_once_and_logged_never(operator, caplog):
    with caplog.at_level(logging.DEBUG):
        raw = operator.post("/tokens", {"scopes": ["read"]}).json()["token"]
        operator.get("/tasks", Authorization=f"Bearer {raw}")
        operator.get("/tasks", Authorization=f"Bearer {raw}x")
    assert raw not in operator.get("/tokens").content.decode()
    assert raw not in caplog.text
    assert access.token_principal(raw)
