"""A request becomes a task that can run, or an error that names each wrong field; at both sides of every limit."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import transaction

from tasks import submission, submit
from tasks.exceptions import InvalidTask, TooLarge
from tasks.models import Task, TaskEvent
from tasks.submission import BULK_LIMIT, TASK_LIMIT, build, build_many

YEARS = 10 * 365 * 86_400


def echo(**fields: Any) -> dict[str, Any]:
    return {"name": "test.echo", **fields}


def call(**fields: Any) -> dict[str, Any]:
    return {"callback_url": "https://example.com/hook", **fields}


def wrong_fields(request: Any) -> list[str]:
    with pytest.raises(InvalidTask) as raised:
        build(request)
    assert all(error.message.endswith(".") for error in raised.value.errors)
    return sorted(error.field for error in raised.value.errors)


# -- what passes ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_smallest_request_gets_the_documented_defaults():
    task = build(echo())
    assert (task.queue, task.priority, task.max_attempts, task.timeout) == ("default", 0, 10, 300)
    assert (task.payload, task.tags, task.run_at, task.status) == ({}, [], None, "pending")
    policy = task.retry_policy
    assert (policy.delay, policy.factor, policy.max_delay, policy.jitter) == (5, 2, 3600, 0.5)


@pytest.mark.django_db
def test_a_handler_says_what_its_tasks_get_and_the_request_has_the_last_word():
    assert build({"name": "test.fail"}).max_attempts == 3
    assert build({"name": "test.fail", "max_attempts": 4, "queue": "q", "timeout": 1}).max_attempts == 4


def test_the_smallest_callback_gets_the_documented_defaults():
    task = build(call(payload={"a": [1]}))
    assert (task.name, task.callback_url, task.callback_method) == ("callback", "https://example.com/hook", "POST")
    assert (task.max_attempts, task.timeout, task.timeout_is_own, task.is_callback) == (10, 30, False, True)
    assert build(call(timeout=30)).timeout_is_own


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "least", "most"),
    [
        ("priority", -100, 100),
        ("max_attempts", 1, 1000),
        ("timeout", 0.001, 86_400),
        ("delay", 0, YEARS),
        ("tags", [], ["x" * 64] * 20),
        ("queue", "a", "A-Za.z0_9" + "x" * 91),
        ("payload", {}, {"value": "x" * (TASK_LIMIT - 60)}),
    ],
)
def test_limits_belong_to_what_is_allowed(field, least, most):
    for value in (least, most):
        task = build(echo(**{field: value}))
        if field != "delay":
            assert getattr(task, field) == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("priority", -101),
        ("priority", 101),
        ("priority", 1.5),
        ("priority", "1"),
        ("priority", True),
        ("priority", None),
        ("max_attempts", 0),
        ("max_attempts", 1001),
        ("max_attempts", 2.5),
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", 86_400.1),
        ("timeout", "30"),
        ("timeout", True),
        ("delay", -0.1),
        ("delay", YEARS + 1),
        ("delay", "soon"),
        ("run_at", "tomorrow"),
        ("run_at", "2026-11-01"),
        ("run_at", "2026-11-01T00:00:00"),
        ("run_at", "2026-13-01T00:00:00Z"),
        ("run_at", "0001-01-01T00:00:00+14:00"),
        ("run_at", "9999-12-31T23:59:59-14:00"),
        ("run_at", 1764547200),
        ("tags", "a"),
        ("tags", {"a": 1}),
        ("tags", ["x"] * 21),
        ("queue", ""),
        ("queue", "a b"),
        ("queue", "a\n"),
        ("queue", "é"),
        ("queue", "x" * 101),
        ("queue", 1),
        ("payload", None),
        ("payload", []),
        ("payload", "{}"),
        ("retry", None),
        ("retry", 5),
        ("callback_method", "GET"),
        ("callback_method", "post"),
        ("callback_headers", []),
        ("status", "completed"),
        ("owner", 1),
        ("id", "018f3c1e-0000-7000-8000-000000000000"),
    ],
)
def test_a_wrong_field_is_named(field, value):
    assert wrong_fields(echo(**{field: value})) == [field]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tags": ["ok", ""]}, "tags[1]"),
        ({"tags": ["x" * 65]}, "tags[0]"),
        ({"tags": [1]}, "tags[0]"),
        ({"retry": {"delay": -1}}, "retry.delay"),
        ({"retry": {"delay": YEARS + 1}}, "retry.delay"),
        ({"retry": {"factor": 0.9}}, "retry.factor"),
        ({"retry": {"factor": 101}}, "retry.factor"),
        ({"retry": {"max_delay": -1}}, "retry.max_delay"),
        ({"retry": {"jitter": -0.1}}, "retry.jitter"),
        ({"retry": {"jitter": 1.1}}, "retry.jitter"),
        ({"retry": {"jitter": "0.5"}}, "retry.jitter"),
        ({"payload": {"value": 1}}, "payload.value"),
        ({"payload": {"volume": "x"}}, "payload.volume"),
        ({"payload": {"value": "a\0b"}}, "payload.value"),
        ({"payload": {"value": "\ud800"}}, "payload.value"),
        ({"payload": {"value": float("nan")}}, "payload.value"),
        ({"payload": {"value": [2**64]}}, "payload.value[0]"),
        ({"tags": ["a\0"]}, "tags[0]"),
    ],
)
def test_a_wrong_place_within_a_field_is_named(fields, named):
    assert wrong_fields(echo(**fields)) == [named]


@pytest.mark.parametrize(("factor", "jitter"), [(1, 0), (100, 1)])
def test_a_policy_at_its_limits(factor, jitter):
    task = build(echo(retry={"delay": 0, "factor": factor, "max_delay": YEARS, "jitter": jitter}))
    assert (task.retry_policy.factor, task.retry_policy.jitter) == (factor, jitter)


def test_an_unknown_field_within_retry_is_named():
    assert wrong_fields(echo(retry={"tries": 3})) in (["retry"], ["retry.tries"])


def test_every_wrong_field_is_named_at_once():
    assert wrong_fields(echo(priority=500, timeout=0, tags=[""], nonsense=1)) == [
        "nonsense", "priority", "tags[0]", "timeout"
    ]  # fmt: skip


@pytest.mark.parametrize("request_", [[], "x", 1, None, True])
def test_a_request_that_is_no_object(request_):
    assert wrong_fields(request_) == [""]


@pytest.mark.parametrize("name", ["nope", "callback", "a b", "", "a\n"])
def test_a_name_that_no_handler_has(name):
    assert wrong_fields({"name": name}) == ["name"]


# -- contradictions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({}, "name"),
        ({"payload": {}}, "name"),
        (echo(callback_url="https://example.com"), "callback_url"),
        (echo(run_at="2030-01-01T00:00:00Z", delay=1), "delay"),
        (echo(run_at="2030-01-01T00:00:00Z", delay=0), "delay"),
        (echo(callback_headers={"X-A": "1"}), "callback_headers"),
    ],
)
def test_contradictions_are_refused(request_, field):
    assert wrong_fields(request_) == [field]


# -- callbacks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://example.com", "http://", "http://10.0.0.1/", "http://[fd00::1]/", "https://u:p@example.com/",
     "http://169.254.169.254/latest", "http://0x7f.1.1.1.1/", "https://example.com/#a", "https://e.com/" + "x" * 2048],
)  # fmt: skip
def test_an_address_that_cannot_be_called_is_refused_at_submission(url):
    assert wrong_fields({"callback_url": url}) == ["callback_url"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "x"},
        {"content-length": "1"},
        {"Cookie": "a=b"},
        {"webhook-id": "1"},
        {"TaskHub-Attempt": "1"},
        {"X-A": "a\r\nX-B: b"},
        {"X A": "1"},
        {f"X-{n}": "1" for n in range(21)},
    ],
)
def test_headers_that_must_not_be_sent_are_refused(headers):
    assert wrong_fields(call(callback_headers=headers)) == ["callback_headers"]


def test_headers_at_their_limit_pass():
    headers = {f"X-{n}": "1" for n in range(20)}
    assert build(call(callback_headers=headers, callback_method="PATCH")).callback_headers == headers


# -- size ----------------------------------------------------------------------------------------------------------


def test_a_task_is_limited_in_bytes_of_its_json():
    envelope = len('{"name":"test.echo","payload":{"value":""}}')
    build(echo(payload={"value": "x" * (TASK_LIMIT - envelope)}))
    for payload in ("x" * (TASK_LIMIT - envelope + 1), "é" * (TASK_LIMIT // 2)):
        with pytest.raises(TooLarge):
            build(echo(payload={"value": payload}))


# -- many ----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_many_are_stored_in_their_order_or_not_at_all():
    tasks = submission.create_all(build_many([echo(payload={"value": str(n)}) for n in range(BULK_LIMIT)]), "test")
    stored = Task.objects.order_by("pk")
    assert [task.pk for task in stored] == [task.pk for task in tasks]
    assert [task.payload["value"] for task in stored] == [str(n) for n in range(BULK_LIMIT)]


def test_errors_of_many_are_named_by_their_place():
    with pytest.raises(InvalidTask) as raised:
        build_many([echo(), echo(priority=500), {"name": "nope"}, 7, echo(payload={"value": 1})])
    assert [error.field for error in raised.value.errors] == [
        "tasks[1].priority",
        "tasks[2].name",
        "tasks[3]",
        "tasks[4].payload.value",
    ]


# -- from Python ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_submit_stores_a_pending_task_and_the_log_says_who(alice):
    task = submit("test.echo", {"value": "x"}, owner=alice, priority=10, tags=("a",))
    stored = Task.objects.get(pk=task.pk)
    assert (stored.owner, stored.priority, stored.payload, stored.tags) == (alice, 10, {"value": "x"}, ["a"])
    assert (stored.status, stored.version, stored.ready) == ("pending", 1, True)
    event = TaskEvent.objects.get(task_id=task.pk)
    assert (event.type, event.version, event.actor) == ("task_created", 1, "alice")


@pytest.mark.django_db
def test_a_delay_and_a_time_make_the_task_wait():
    delayed = submit("test.echo", delay=3600)
    assert (delayed.run_at - delayed.created_at).total_seconds() == pytest.approx(3600, abs=5)
    moment = dt.datetime(2030, 1, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    at = submit("test.echo", run_at=moment)
    at.refresh_from_db()
    assert at.run_at == moment
    assert not delayed.ready
    assert not at.ready


@pytest.mark.django_db
def test_submit_joins_the_callers_transaction():
    with pytest.raises(ZeroDivisionError):
        _submit_and_fail()
    assert not Task.objects.exists()
    assert not TaskEvent.objects.exists()


@transaction.atomic
def _submit_and_fail() -> None:
    submit("test.echo")
    raise ZeroDivisionError


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"payload": {"value": object()}}, "payload"),
        ({"payload": {"value": 2**70}}, "payload.value"),
        ({"payload": {1: 2}}, "payload"),
        ({"run_at": dt.datetime(2030, 1, 1)}, "run_at"),  # noqa: DTZ001
        ({"nonsense": 1}, "nonsense"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "x" * 256}, "idempotency_key"),
        ({"idempotency_key": "a\0"}, "idempotency_key"),
    ],
)
def test_submit_refuses_with_the_same_errors_and_stores_nothing(options, field):
    with pytest.raises(InvalidTask) as raised:
        submit("test.echo", **options)
    assert [error.field for error in raised.value.errors] == [field]
    assert not Task.objects.exists()


@pytest.mark.django_db
def test_dates_and_the_like_go_as_json_carries_them():
    task = submit("test.echo", {"value": dt.date(2026, 11, 1)})
    assert task.payload == {"value": "2026-11-01"}
