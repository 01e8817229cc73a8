"""Submitting over HTTP: what is created, what is refused and how, and what happens when a request comes twice."""

from __future__ import annotations

import json

import pytest

from tasks.models import Task, TaskEvent, Token
from tests.tasks.api.conftest import assert_problem

BODY = {"name": "test.echo", "payload": {"value": "x"}}


def test_a_task_is_created_for_who_asks(submitter):
    response = submitter.post("/tasks", BODY)
    assert response.status_code == 201
    body = response.json()
    task = Task.objects.get(pk=body["id"])
    assert response["Location"] == f"http://testserver/api/v1/tasks/{task.pk}"
    assert (task.owner, task.status, task.version) == (submitter.user, "pending", 1)
    assert (body["owner"], body["payload"], body["version"]) == ("sam", {"value": "x"}, 1)
    assert TaskEvent.objects.get(task_id=task.pk).actor == "sam"
    assert submitter.get(response["Location"]).json() == submitter.get(f"/tasks/{task.pk}").json()


def test_a_callback_keeps_its_headers_to_itself(submitter):
    body = {"callback_url": "https://example.org/hook?token=canary", "callback_headers": {"X-Key": "canary"}}
    response = submitter.post("/tasks", body)
    assert response.status_code == 201
    assert "canary" not in response.content.decode()
    assert response.json()["callback_url"] == "https://example.org/hook?token=***"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["name"]),
        ({"name": "no.such"}, ["name"]),
        ({"name": "test.echo", "callback_url": "https://example.org/"}, ["callback_url"]),
        ({"name": "test.echo", "colour": "red", "priority": 101}, ["colour", "priority"]),
        ({"name": "test.echo", "payload": {"value": 1}}, ["payload.value"]),
        ({"name": "test.echo", "payload": {"other": 1}}, ["payload.other"]),
        ({"name": "test.echo", "payload": []}, ["payload"]),
        ({"name": "test.echo", "payload": {"value": "\0"}}, ["payload.value"]),
        ({"name": "test.echo", "payload": {"value": "\ud800"}}, ["payload.value"]),
        ({"name": "test.echo", "delay": 1, "run_at": "2026-11-22T10:00:00Z"}, ["delay"]),
        ({"name": "test.echo", "run_at": "tomorrow"}, ["run_at"]),
        ({"name": "test.echo", "run_at": "0001-01-01T00:00:00+14:00"}, ["run_at"]),
        ({"name": "test.echo", "run_at": "9999-12-31T23:59:59-14:00"}, ["run_at"]),
        ({"callback_url": "http://169.254.169.254/"}, ["callback_url"]),
        ({"callback_url": "https://example.org/", "callback_headers": {"Host": "x"}}, ["callback_headers"]),
        ([], [""]),
        ("text", [""]),
        (None, ["name"]),
    ],
)  # fmt: skip
def test_what_could_never_run_is_refused_by_field(submitter, body, fields):
    assert_problem(submitter.post("/tasks", body), 400, *fields)
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    "raw",
    [
        b"{", b"x", b"\xff", b"\xef\xbb\xbf{}", b'{"name": NaN}', b'{"a": Infinity}', b"[" * 100_000, b'{"a": ' * 5000,
        b"1" * 5000, b'{"name": "test.echo"} x', b"\0", '{"name": "test.echo"}'.encode("utf-16"),
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(submitter, raw):
    assert_problem(submitter.post("/tasks", raw), 400)


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"name": "test.echo", "name": "test.fail"}', "name"),
        (b'{"name": "test.echo", "payload": {"value": "a", "value": "b"}}', "value"),
        (b'{"name": "test.echo", "payload": {"value": 1e400}}', "payload.value"),
        (b'{"name": "test.echo", "payload": {"value": 18446744073709551616}}', "payload.value"),
        (b'{"name": "test.echo", "payload": {"value": ' + b"[" * 200 + b"]" * 200 + b"}}", "payload.value"),
    ],
)
def test_what_is_ambiguous_or_extreme_is_refused_by_field(submitter, raw, field):
    body = assert_problem(submitter.post("/tasks", raw), 400, *_named(submitter.post("/tasks", raw)))
    assert body["errors"][0]["field"].startswith(field)


def _named(response):
    return [error["field"] for error in response.json()["errors"]]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_only_json_is_read(submitter, content_type):
    body = assert_problem(submitter.post("/tasks", BODY, content_type=content_type), 415)
    assert "application/json" in body["detail"]


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_by_its_other_names(submitter, content_type):
    assert submitter.post("/tasks", BODY, content_type=content_type).status_code == 201


def test_too_large(submitter):
    assert_problem(submitter.post("/tasks", BODY | {"payload": {"value": "x" * 262_144}}), 413, "")
    assert_problem(submitter.post("/tasks", b'{"name": "test.echo"}' + b" " * 262_144), 413, "")
    assert_problem(submitter.post("/tasks/bulk", b" " * (8 * 1024 * 1024 + 1)), 413, "")
    large = submitter.post("/tasks", BODY | {"payload": {"value": "x" * 262_000}})
    assert large.status_code == 201


# -- bulk ----------------------------------------------------------------------------------------------------------


def test_bulk_creates_all_in_order(submitter):
    response = submitter.post("/tasks/bulk", {"tasks": [BODY, {"name": "test.fail"}]})
    assert response.status_code == 201
    tasks = response.json()["tasks"]
    assert [task["name"] for task in tasks] == ["test.echo", "test.fail"]
    assert {task["owner"] for task in tasks} == {"sam"}


def test_bulk_creates_none_when_one_is_wrong(submitter):
    wrong = [BODY, {"name": "test.echo", "payload": {"value": 1}}, {"nam": "x"}, 3]
    named = ["tasks[1].payload.value", "tasks[2].nam", "tasks[3]"]
    assert_problem(submitter.post("/tasks/bulk", {"tasks": wrong}), 400, *named)
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["tasks"]), ({"tasks": []}, ["tasks"]), ({"tasks": {}}, ["tasks"]), ([], [""]),
        ({"tasks": [BODY], "x": 1}, ["x"]), ({"tasks": [BODY] * 1001}, ["tasks"]),
    ],
)  # fmt: skip
def test_bulk_itself_is_checked(submitter, body, fields):
    assert_problem(submitter.post("/tasks/bulk", body), 400, *fields)


def test_a_thousand_at_once(submitter):
    response = submitter.post("/tasks/bulk", {"tasks": [BODY] * 1000})
    assert response.status_code == 201
    assert Task.objects.count() == 1000


# -- too many ------------------------------------------------------------------------------------------------------


def test_an_owner_with_too_many_waiting_is_told_to_come_again(submitter, operator, settings):
    settings.TASKHUB_BACKLOG_LIMIT = 3
    first = submitter.post("/tasks", BODY, Idempotency_Key="k1")
    refused = submitter.post("/tasks/bulk", {"tasks": [BODY] * 3}, Idempotency_Key="k2")
    assert "1 wait already; with 3 more" in assert_problem(refused, 429)["detail"]
    assert int(refused["Retry-After"]) > 0
    assert Task.objects.count() == 1
    assert submitter.post("/tasks/bulk", {"tasks": [BODY] * 2}, Idempotency_Key="k2").status_code == 201
    assert_problem(submitter.post("/tasks", BODY), 429)
    assert submitter.post("/tasks", BODY, Idempotency_Key="k1").json() == first.json()
    assert operator.post("/tasks", BODY).status_code == 201


# -- twice ---------------------------------------------------------------------------------------------------------


def test_the_same_key_and_body_is_the_same_task(submitter):
    first = submitter.post("/tasks", BODY, Idempotency_Key="k1")
    again = submitter.post("/tasks", dict(reversed(BODY.items())), Idempotency_Key='"k1"')
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first["Location"] == again["Location"]
    assert Task.objects.count() == 1


def test_the_same_key_with_another_body_is_refused(submitter):
    submitter.post("/tasks", BODY, Idempotency_Key="k1")
    assert_problem(submitter.post("/tasks", {"name": "test.fail"}, Idempotency_Key="k1"), 422)


def test_a_key_belongs_to_a_user_and_a_route(submitter, operator):
    for client, path, body in [
        (submitter, "/tasks", BODY),
        (operator, "/tasks", BODY),
        (submitter, "/tasks/bulk", {"tasks": [BODY]}),
    ]:
        assert client.post(path, body, Idempotency_Key="k1").status_code == 201


def test_a_key_is_the_users_through_any_token(submitter, api):
    first = submitter.post("/tasks", BODY, Idempotency_Key="k1").json()
    assert api("sam").post("/tasks", BODY, Idempotency_Key="k1").json() == first
    assert Token.objects.filter(user=submitter.user).count() == 2


def test_one_key_covers_a_bulk(submitter):
    first = submitter.post("/tasks/bulk", {"tasks": [BODY, BODY]}, Idempotency_Key="k1")
    again = submitter.post("/tasks/bulk", {"tasks": [BODY, BODY]}, Idempotency_Key="k1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert Task.objects.count() == 2


def test_a_refused_request_does_not_use_up_its_key(submitter):
    assert_problem(submitter.post("/tasks", {"name": "no.such"}, Idempotency_Key="k1"), 400, "name")
    assert submitter.post("/tasks", BODY, Idempotency_Key="k1").status_code == 201


def test_a_key_whose_task_is_gone_says_so(submitter):
    submitter.post("/tasks", BODY, Idempotency_Key="k1")
    Task.objects.all().delete()
    assert_problem(submitter.post("/tasks", BODY, Idempotency_Key="k1"), 409)


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, '"open', '"a"b"', '"é"', "\x07", '""'])
def test_a_key_that_is_none_is_refused(submitter, key):
    assert_problem(submitter.post("/tasks", BODY, Idempotency_Key=key), 400, "Idempotency-Key")


def test_answers_are_json_whatever_is_accepted(submitter):
    response = submitter.post("/tasks", BODY, Accept="text/html")
    assert response["Content-Type"] == "application/json"
    assert json.loads(response.content)["name"] == "test.echo"
