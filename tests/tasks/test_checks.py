"""Each system check: what it finds, and that it is silent about what is right."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks

from tasks import checks
from tasks.models import Task
from tests.factories import make_task, make_worker


@pytest.fixture
def production(settings):
    settings.DEVELOPMENT = False
    settings.TASKHUB_BASE_URL = "https://hub.example.com"
    settings.TASKHUB_CALLBACK_ALLOW = ""
    return settings


def found(check, **options) -> list[str]:
    messages = list(check(**options))
    assert all(message.hint and message.msg for message in messages)
    return [message.id for message in messages]


def test_the_installation_under_test_has_nothing_to_report():
    assert found(run_checks) == []


@pytest.mark.parametrize(
    ("version", "ids"),
    [("1.11.1", []), ("1.11.9", []), ("1.12.0", ["tasks.E001"]), ("2.0", ["tasks.E001"]), ("1.7.6", ["tasks.E001"])],
)
def test_django_q2_must_be_the_version_whose_parts_we_use(monkeypatch, version, ids):
    monkeypatch.setattr(checks, "version", lambda name: version)
    assert found(checks.check_carrier) == ids


@pytest.mark.parametrize(
    ("allowed", "ids"),
    [
        ("", []),
        ("10.1.2.3:8443", []),
        ("10.1.2.0/24", []),
        ("10.1.0.0/16", []),
        ("10.0.0.0/8:8443", []),
        ("10.0.0.0/8", ["tasks.W001"]),
        ("127.0.0.1", ["tasks.W001"]),
        ("127.0.0.1:9000", ["tasks.W001"]),
        ("169.254.0.0/16", ["tasks.W001"]),
        ("169.254.169.254:80", ["tasks.W001"]),
        ("::1", ["tasks.W001"]),
        ("fd00::/8", ["tasks.W001"]),
        ("0.0.0.0/0, 10.1.2.3", ["tasks.W001"]),
    ],
)
def test_an_allow_list_that_lets_strangers_in(production, allowed, ids):
    production.TASKHUB_CALLBACK_ALLOW = allowed
    assert found(checks.check_callbacks) == ids


def test_the_tutorials_receiver_is_no_reason_to_warn(settings):
    assert "127.0.0.0/8" in settings.TASKHUB_CALLBACK_ALLOW
    assert found(checks.check_callbacks) == []


@pytest.mark.parametrize(
    ("url", "ids"),
    [
        ("https://hub.example.com", []),
        ("http://hub.internal:8000", []),
        ("http://localhost:8000", ["tasks.W002"]),
        ("http://127.0.0.1:8000", ["tasks.W002"]),
        ("http://[::1]:8000", ["tasks.W002"]),
    ],
)
def test_an_address_that_nobody_else_can_reach(production, url, ids):
    production.TASKHUB_BASE_URL = url
    assert found(checks.check_base_url) == ids


@pytest.mark.postgres
def test_postgresql_alone_is_mentioned(on_postgres, settings):
    settings.REDIS_URL = ""
    assert found(checks.check_services) == ["tasks.I001"]
    settings.REDIS_URL = "redis://h"
    assert found(checks.check_services) == []


@pytest.mark.django_db
def test_waiting_tasks_without_a_handler_are_named_once():
    make_task()
    make_task("completed")
    for status in ("pending", "pending", "failed", "completed"):
        Task.objects.filter(pk=make_task(status).pk).update(name=f"gone.{status}")
    assert found(checks.check_handlers) == ["tasks.W003", "tasks.W003"]
    assert [message.msg.split("'")[1] for message in checks.check_handlers()] == ["gone.failed", "gone.pending"]


@pytest.mark.django_db
def test_machines_that_share_an_sqlite_file():
    make_worker(host="one")
    make_worker(host="one", pid=2)
    assert found(checks.check_hosts) == []
    make_worker(host="other")
    assert found(checks.check_hosts) == ["tasks.E002"]


@pytest.mark.django_db
def test_the_database_is_looked_at_only_when_it_is_asked_for(django_assert_num_queries):
    Task.objects.filter(pk=make_task().pk).update(name="gone")
    run_checks()  # Django looks once at what this database can do
    with django_assert_num_queries(0):
        assert found(run_checks) == []
    assert found(lambda: run_checks(databases=["default"])) == ["tasks.W003"]
