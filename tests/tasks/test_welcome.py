"""What `make run` says, and the file with the token that it names."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tasks import access, welcome
from tasks.exceptions import FieldError, InvalidTask
from tasks.models import Token

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def data(settings, tmp_path, monkeypatch) -> Path:
    settings.DATA = tmp_path / "a folder" / ".data"
    settings.DATA.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return settings.DATA


def test_it_says_where_how_to_get_in_and_how_to_submit(alice, settings, monkeypatch):
    monkeypatch.setattr(welcome.signin, "make_link", lambda user: f"https://link/{user}")
    text = welcome.welcome(alice, strong=str.upper)
    assert f"runs at {settings.TASKHUB_BASE_URL.upper()}\n" in text
    assert "    HTTPS://LINK/ALICE\n" in text
    assert "    curl " in text
    assert "manage.py signin-link" in text


def test_the_command_is_one_line_that_a_shell_understands(alice, settings):
    line = welcome.curl(welcome.token_file(alice))
    assert "\n" not in line
    words = shlex.split(line)
    assert words[:2] == ["curl", f"{settings.TASKHUB_BASE_URL}/api/v1/tasks"]
    assert "$(cat 'a folder/.data/token')" in line
    assert json.loads(words[-1]) == {"name": welcome.example()}


def test_the_token_is_good_private_and_kept(alice, data):
    path = welcome.token_file(alice)
    assert path == data / "token"
    assert path.stat().st_mode & 0o777 == 0o600
    principal = access.token_principal(path.read_text().strip())
    assert principal.user == alice
    assert principal.scopes == {"submit", "read", "operate"}
    assert welcome.token_file(alice).read_text() == path.read_text()
    assert Token.objects.count() == 1


def test_a_token_that_is_revoked_or_belongs_to_another_database_is_replaced(alice, data):
    first = welcome.token_file(alice).read_text()
    access.revoke(Token.objects.all())
    second = welcome.token_file(alice).read_text()
    assert second != first
    assert access.token_principal(second.strip())
    (data / "token").write_text("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"))
    assert access.token_principal(welcome.token_file(alice).read_text().strip())


def test_the_example_needs_no_arguments(monkeypatch):
    class Needy:
        name = "a.needy"

        def bind(self, payload):
            raise InvalidTask(FieldError("payload.month", "is missing"))

    class Simple:
        name = "b.simple"

        def bind(self, payload):
            return {}

    monkeypatch.setattr(welcome.registry, "handlers", lambda: [Needy(), Simple()])
    assert welcome.example() == "b.simple"
    monkeypatch.setattr(welcome.registry, "handlers", lambda: [Needy()])
    assert welcome.example() == "demo.report"


def test_paths_are_as_short_as_they_can_be(tmp_path):
    assert welcome.shown(tmp_path / "x" / "y") == "x/y"
    assert welcome.shown(Path("/somewhere/else")) == "/somewhere/else"
