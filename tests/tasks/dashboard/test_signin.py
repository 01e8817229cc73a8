"""Signing in, by password and by link."""

from __future__ import annotations

import pytest
from django.test import Client

from tasks.api import limits
from tasks.dashboard import signin
from tasks.dashboard.signin import TRIES_BY_NAME
from tasks.signin import make_link

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(alice):
    return "/signin/" + make_link(alice).rpartition("/")[2]


def signed_in(client):
    return "_auth_user_id" in client.session


def test_a_password_signs_in_and_leads_on(alice):
    client = Client()
    assert client.get("/login").status_code == 200
    answer = client.post("/login", {"username": "alice", "password": "alice", "next": "/?status=failed"})
    assert answer["Location"] == "/?status=failed"
    assert signed_in(client)


def test_a_wrong_password_says_so(alice):
    page = Client().post("/login", {"username": "alice", "password": "wrong"}).content.decode()
    assert 'role="alert"' in page


def test_nobody_is_sent_elsewhere(alice):
    answer = Client().post("/login", {"username": "alice", "password": "alice", "next": "https://evil.example/"})
    assert answer["Location"] == "/"


def test_signing_out_takes_a_button(alice):
    client = Client()
    client.force_login(alice)
    assert client.get("/logout").status_code == 405
    client.post("/logout")
    assert not signed_in(client)


def test_looking_at_a_link_does_not_use_it_up(path):
    client = Client()
    assert client.get(path).status_code == 200
    assert not signed_in(client)
    assert client.post(path)["Location"] == "/"
    assert signed_in(client)


def test_a_link_works_once(path):
    Client().post(path)
    second = Client()
    assert second.post(path).status_code == 410
    assert not signed_in(second)


def test_a_link_is_no_way_around_csrf(path):
    client = Client(enforce_csrf_checks=True)
    assert client.post(path).status_code == 403
    assert not signed_in(client)


def test_in_production_there_are_no_links(path, settings):
    settings.DEVELOPMENT = False
    assert Client().get(path).status_code == 404
    assert Client().post(path).status_code == 404


# -- guessing ------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def counter(monkeypatch):
    """Counts of this test's own."""
    counter = limits.MemoryCounter()
    monkeypatch.setattr(limits, "_counter", lambda: counter)


@pytest.mark.parametrize("path", ["/login", "/admin/login/"])
def test_a_name_has_so_many_tries_a_minute(alice, path):
    client = Client()
    answers = [client.post(path, {"username": "alice", "password": "wrong"}) for _ in range(TRIES_BY_NAME + 1)]
    assert [answer.status_code for answer in answers] == [200] * TRIES_BY_NAME + [429]
    assert 1 <= int(answers[-1]["Retry-After"]) <= 60
    assert client.post(path, {"username": "Alice", "password": "alice"}).status_code == 429
    assert not signed_in(client)
    assert client.post(path, {"username": "bob", "password": "bob"}).status_code == 200
    assert client.get(path).status_code == 200


def test_an_address_has_so_many_tries_for_all_names(alice, monkeypatch):
    monkeypatch.setattr(signin, "TRIES_BY_ADDRESS", 3)
    tries = [Client().post("/login", {"username": f"u{n}", "password": "x"}).status_code for n in range(4)]
    assert tries == [200, 200, 200, 429]
    elsewhere = Client(REMOTE_ADDR="198.51.100.7")
    assert elsewhere.post("/login", {"username": "alice", "password": "alice"}).status_code == 302
