"""A canary in every place where somebody may put a secret is seen nowhere."""

from __future__ import annotations

import logging
import re

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.test import Client

from tasks import access, lifecycle, submit
from tasks.callbacks import delivery
from tasks.callbacks.request import Answer, Verdict
from tasks.masking import MASK, is_secret
from tasks.models import Pipeline, Step, Task, TaskEvent, TaskLog, Token
from tasks.representation import event_json
from tasks.testing import run_pending
from tests.factories import claim
from tests.tasks.api.conftest import assert_problem
from tests.tasks.api.test_routes import ALL
from tests.tasks.pipelines.factories import make_pipeline, step

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


# -- everywhere ----------------------------------------------------------------------------------------------------

KEPT = {  # where a secret must lie for the work to be done: who reads the database reads these
    "tasks_task": {"payload", "state", "callback_url", "callback_headers"},
}


@pytest.fixture
def planted(operator, caplog):
    """The canary in every place of a task, its attempts, its log and its events."""
    with caplog.at_level(logging.DEBUG):
        operator.post("/tasks", {"name": "test.leak", "payload": {"password": CANARY}}, Idempotency_Key="k")
        run_pending()
        operator.post("/tasks", {"name": "test.leak", "payload": {"password": CANARY}, "delay": 60, "tags": ["x"]})
        task = claim(Task.objects.get(pk=operator.post("/tasks", BODY).json()["id"]))
        error = {"type": "CallbackStatus", "detail": f"said {CANARY}"}
        answer = Answer(
            outcome=Verdict.GONE, status=410, headers={"x-said": CANARY}, body=f"{CANARY} and Bearer {CANARY}",
            truncated=False, result=None, error=error, retry_after=None, elapsed=0.1,
        )  # fmt: skip
        lifecycle.record([delivery.outcome_of(task, answer)], "test")
        make_pipeline(step("a"), input={"password": CANARY}, owner=operator.user)
    assert {task.status for task in Task.objects.all()} == {"dead_lettered", "pending"}
    assert TaskLog.objects.count() == 1
    assert TaskEvent.objects.filter(type="task_progress").exists()


def test_no_page_of_any_door_shows_it(planted, operator, caplog):
    root = get_user_model().objects.create_superuser("root")
    browser = Client()
    browser.force_login(root)
    pages = 0
    for route, _ in ALL:
        for address in addresses(route):
            response = browser.get(address)
            assert response.status_code < 500, address
            content = b"".join(response.streaming_content) if response.streaming else response.content
            assert CANARY not in content.decode(errors="replace"), address
            pages += response.status_code == 200
    assert pages > 60
    assert CANARY not in caplog.text


def addresses(route):
    """The route with each of our rows in its place, and its lists with a search for the secret's key."""
    if route.startswith("admin/jsi18n") or "(" in route:
        return []
    rows = [*Task.objects.all(), *Pipeline.objects.all(), *TaskEvent.objects.all()[:10], *Token.objects.all()]
    filled = [re.sub(r"<[^>]+>", str(row.pk), route) for row in rows] if "<" in route else [route, f"{route}?q=hook"]
    return [f"/{place}" for place in dict.fromkeys(filled)]


def test_no_event_of_the_stream_carries_it(planted):
    for event in TaskEvent.objects.all():
        assert CANARY not in str(event_json(event, "c"))


def test_the_database_has_it_only_where_the_work_needs_it(planted):
    for model in apps.get_models():
        for row in model._base_manager.all():
            for field in model._meta.concrete_fields:
                if field.column in KEPT.get(model._meta.db_table, ()) or model in (Pipeline, Step):
                    continue
                assert CANARY not in str(getattr(row, field.attname)), f"{model.__name__}.{field.name}"


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
