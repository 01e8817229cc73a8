"""Signing in, by password and by link."""

from __future__ import annotations

import pytest
from django.test import Client

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
