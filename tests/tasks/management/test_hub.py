"""How `manage.py hub` prepares its start. What it starts is in tests/journeys."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest
from django.conf import settings as project

from tasks.engine.address import Address
from tasks.management.commands import hub
from tests.services import free_port


@pytest.fixture
def executed(monkeypatch) -> list[list[str]]:
    """The programs that this process would have become."""
    executed: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda path, arguments: executed.append([path, *arguments]))
    monkeypatch.setattr(os, "environ", {"PORT": "8001", "TASKHUB_WORKERS_FILE": "/run/secrets/workers"})
    monkeypatch.setattr(sys, "orig_argv", ["python3", "-X", "dev", "manage.py", "hub"])
    return executed


@pytest.mark.parametrize("values", [{"PORT": None}, {"PORT": 8001}, {}])
def test_options_that_say_nothing_new_change_nothing(values, executed):
    hub.with_environment(**values)
    assert executed == []


def test_an_option_is_a_variable_and_the_settings_are_read_with_it(executed):
    hub.with_environment(PORT=9000, TASKHUB_WORKERS=3)
    assert (os.environ["PORT"], os.environ["TASKHUB_WORKERS"]) == ("9000", "3")
    assert "TASKHUB_WORKERS_FILE" not in os.environ
    assert executed == [[sys.executable, sys.executable, "-X", "dev", "manage.py", "hub"]]


def test_there_is_one_hub_for_each_data_directory(settings, tmp_path):
    settings.DATA = tmp_path
    first = hub.only_one()
    with pytest.raises(SystemExit, match=f"^taskhub: another hub runs with the data in {tmp_path}; .*"):
        hub.only_one()
    first.close()
    hub.only_one().close()


def test_a_port_that_is_taken_ends_it_with_a_sentence(settings, monkeypatch):
    monkeypatch.setattr("tasks.engine.address.PATIENCE", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings.PORT = other.getsockname()[1]
        with pytest.raises(SystemExit, match=r"^taskhub: Port .* is taken"):
            hub.listening("127.0.0.1")


def test_the_web_server_keeps_sockets_open_and_believes_no_proxy(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/of/the/user")
    address = Address("127.0.0.1", free_port())
    web = hub.web_server(address, with_workers=True)
    command = " ".join(web._command)
    assert "--websocket_timeout -1 --ping-interval 20 --ping-timeout 30" in command
    assert "--verbosity 0" in command  # no access log
    assert "--proxy-headers" not in command
    assert command.endswith(" taskhub.asgi:application")
    assert web._environment["PYTHONPATH"].split(os.pathsep) == [str(project.BASE_DIR), "/of/the/user"]
    assert web._environment["TASKHUB_UNDER_HUB"] == "1"
    assert "TASKHUB_UNDER_HUB" not in hub.web_server(address, with_workers=False)._environment
    address.close()


def test_a_developers_own_code_is_watched_and_nobody_elses():
    watched = set(hub.folders())
    here = Path(project.BASE_DIR)
    assert {here / "tasks", here / "realtime", here / "templates", here / "tests" / "app"} <= watched
    assert not any("site-packages" in folder.parts for folder in watched)


@pytest.mark.django_db
def test_a_database_that_is_migrated_lacks_nothing():
    assert not hub.lacks_migrations()
