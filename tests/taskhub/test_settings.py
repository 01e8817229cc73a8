"""The settings under one environment after another: what is safe by default, and what stops the start."""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from typing import Any

import pytest

from taskhub.env import InvalidEnvironment

SETTINGS = str(Path(__file__).parents[2] / "taskhub" / "settings.py")
SECRETS = {
    "TASKHUB_SECRET_KEY": "s" * 50,
    "TASKHUB_CALLBACK_SECRET": "whsec_" + "c" * 43 + "=",
}


@pytest.fixture
def settings(monkeypatch, tmp_path):
    """Run the settings with these variables and no others of ours."""
    for name in list(os.environ):
        if name.startswith(("TASKHUB_", "DATABASE_URL", "REDIS_URL", "PORT")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TASKHUB_DATA", str(tmp_path))

    def run(**variables: str) -> dict[str, Any]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(SETTINGS)

    return run


@pytest.fixture
def development(settings):
    return lambda **variables: settings(TASKHUB_ENV="development", TASKHUB_APPS="tests.app", **variables)


@pytest.fixture
def production(settings):
    return lambda **variables: settings(**SECRETS | variables)


# -- production is what an empty environment means -----------------------------------------------------------------


@pytest.mark.parametrize("missing", SECRETS)
def test_production_does_not_start_without_its_secrets(settings, missing, tmp_path):
    with pytest.raises(InvalidEnvironment, match=f"{missing} is not set"):
        settings(**{name: value for name, value in SECRETS.items() if name != missing})
    assert list(tmp_path.iterdir()) == []


def test_production_is_the_default_and_closed(production):
    settings = production()
    assert settings["TASKHUB_ENV"] == "production"
    assert settings["DEBUG"] is False
    assert settings["TASKHUB_CALLBACK_ALLOW"] == ""
    assert settings["INSTALLED_APPS"][-1] == "realtime"
    assert settings["TASKHUB_SHUTDOWN_GRACE_S"] == 25
    assert settings["REST_FRAMEWORK"]["DEFAULT_PERMISSION_CLASSES"] == ["tasks.api.permissions.Closed"]


def test_behind_https_cookies_are_secure(production):
    settings = production(TASKHUB_BASE_URL="https://hub.example.com")
    assert settings["SESSION_COOKIE_SECURE"] is settings["CSRF_COOKIE_SECURE"] is True
    assert settings["SECURE_HSTS_SECONDS"] > 0
    assert "hub.example.com" in settings["ALLOWED_HOSTS"]
    assert settings["CSRF_TRUSTED_ORIGINS"] == ["https://hub.example.com"]


def test_hosts_may_be_added_and_none_is_a_wildcard(production):
    settings = production(TASKHUB_ALLOWED_HOSTS="hub.internal, 10.0.0.7")
    assert {"hub.internal", "10.0.0.7", "localhost"} <= set(settings["ALLOWED_HOSTS"])
    assert "*" not in settings["ALLOWED_HOSTS"]


# -- development ---------------------------------------------------------------------------------------------------


def test_development_generates_its_secrets_once(development, tmp_path):
    first, second = development(), development()
    assert first["SECRET_KEY"] == second["SECRET_KEY"] == (tmp_path / "secret_key").read_text()
    assert first["TASKHUB_CALLBACK_SECRET"].startswith("whsec_")
    assert first["TASKHUB_CALLBACK_SECRET"] == second["TASKHUB_CALLBACK_SECRET"]


def test_development_brings_the_demo_and_a_receiver_on_this_machine(settings):
    found = settings(TASKHUB_ENV="development")
    assert found["INSTALLED_APPS"][-1] == "demo"
    assert found["TASKHUB_CALLBACK_ALLOW"] == "127.0.0.0/8,::1/128"
    assert found["TASKHUB_SHUTDOWN_GRACE_S"] == 8


def test_what_make_run_recorded_is_read_by_every_command(settings, tmp_path):
    (tmp_path / "environment").write_text("development\n")
    assert settings()["DEVELOPMENT"] is True
    assert settings(TASKHUB_ENV="production", **SECRETS)["DEVELOPMENT"] is False


def test_the_data_directory_is_made_for_its_owner_only(development, tmp_path):
    settings = development(TASKHUB_DATA=str(tmp_path / "deep" / "data"))
    assert settings["DATA"] == tmp_path / "deep" / "data"
    assert settings["DATA"].stat().st_mode & 0o077 == 0


# -- database, Redis -----------------------------------------------------------------------------------------------


def test_sqlite_takes_its_write_lock_at_the_start_of_a_transaction(development, tmp_path):
    database = development()["DATABASES"]["default"]
    assert database["NAME"] == str(tmp_path / "taskhub.sqlite3")
    assert database["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in database["OPTIONS"]["init_command"]


def test_postgresql_notices_a_dead_connection_and_keeps_what_the_url_says(development):
    database = development(DATABASE_URL="postgres://u:p@h/hub?sslmode=require")["DATABASES"]["default"]
    assert database["OPTIONS"]["sslmode"] == "require"
    assert database["OPTIONS"]["connect_timeout"] == 5
    assert database["OPTIONS"]["tcp_user_timeout"] == 10_000


def test_redis_is_a_hint_over_pub_sub_and_its_absence_is_a_layer_in_process(development):
    assert development()["CHANNEL_LAYERS"]["default"]["BACKEND"] == "channels.layers.InMemoryChannelLayer"
    layer = development(REDIS_URL="redis://h:6379/3")["CHANNEL_LAYERS"]["default"]
    assert layer["BACKEND"] == "channels_redis.pubsub.RedisPubSubChannelLayer"
    assert layer["CONFIG"]["hosts"][0]["address"] == "redis://h:6379/3"


def test_one_process_more_than_workers_runs_the_loop(development):
    assert development(TASKHUB_WORKERS="3")["Q_CLUSTER"]["workers"] == 4


# -- nonsense ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TASKHUB_ENV", "staging"),
        ("PORT", "http"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("TASKHUB_BASE_URL", "hub.example.com"),
        ("TASKHUB_BASE_URL", "ftp://hub.example.com"),
        ("TASKHUB_BASE_URL", "http://hub.example.com:99999"),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "mysql://h/hub"),
        ("DATABASE_URL", "postgres://h:port/hub"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "http://localhost"),
        ("TASKHUB_APPS", "no_such_app"),
        ("TASKHUB_ADMIN_TOKEN", "x" * 19),
        ("TASKHUB_CALLBACK_ALLOW", "everything"),
        ("TASKHUB_CALLBACK_ALLOW", "10.0.0.0/8:0"),
        ("TASKHUB_CALLBACK_SECRET", "secret"),
        ("TASKHUB_CALLBACK_SECRET", "whsec_short"),
        ("TASKHUB_WORKERS", "0"),
        ("TASKHUB_WORKERS", "257"),
        ("TASKHUB_LEASE_S", "14"),
        ("TASKHUB_LEASE_S", "nan"),
        ("TASKHUB_HEARTBEAT_S", "6"),
        ("TASKHUB_HEARTBEAT_S", "0"),
        ("TASKHUB_SHUTDOWN_GRACE_S", "-1"),
        ("TASKHUB_CANCEL_GRACE_S", "forever"),
        ("TASKHUB_EVENTS_KEEP_S", "-1"),
        ("TASKHUB_PROGRESS_KEEP_S", "1d"),
        ("TASKHUB_RETENTION_DAYS", "1.5"),
        ("TASKHUB_STREAM_CONNECTIONS", "0"),
        ("TASKHUB_RATE_LIMIT", "0"),
    ],
)
def test_nonsense_stops_the_start_with_a_sentence_that_names_the_variable(production, name, value):
    with pytest.raises(InvalidEnvironment) as raised:
        production(**{name: value})
    assert name in str(raised.value)
    assert str(raised.value).endswith((".", "?"))


def test_an_admin_token_of_twenty_characters_is_taken(production):
    assert production(TASKHUB_ADMIN_TOKEN="x" * 20)["TASKHUB_ADMIN_TOKEN"] == "x" * 20


def test_a_data_directory_that_cannot_be_made(production, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidEnvironment, match="TASKHUB_DATA"):
        production(TASKHUB_DATA=str(tmp_path / "file" / "data"))
