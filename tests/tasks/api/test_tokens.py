"""Tokens over HTTP: one's own, shown once, never more than what made them."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from django.contrib.admin.models import LogEntry

from tasks import access
from tasks.models import Token
from tests.tasks.api.conftest import Api, assert_problem


def later(**delta):
    return (dt.datetime.now(dt.UTC) + dt.timedelta(**delta)).isoformat()


def test_made_shown_once_and_revoked(submitter):
    response = submitter.post("/tokens", {"name": "ci", "scopes": ["read"], "expires_at": later(days=1)})
    assert response.status_code == 201
    made = response.json()
    raw = made.pop("token")
    assert access.token_principal(raw).scopes == {"read"}
    listed = submitter.get("/tokens")
    assert raw not in listed.content.decode()
    assert listed.json()["results"][0] | {"last_used_at": None} == made
    assert submitter.delete(f"/tokens/{made['id']}").status_code == 204
    assert access.token_principal(raw) is None
    assert submitter.get("/tokens").json()["results"][0]["revoked_at"]
    assert submitter.delete(f"/tokens/{made['id']}").status_code == 204
    entries = LogEntry.objects.filter(user=submitter.user, object_id=made["id"]).order_by("pk")
    assert list(entries.values_list("change_message", flat=True)) == ["made, for read", "revoke: good → revoked"]


def test_by_default_it_submits_and_reads(submitter):
    made = submitter.post("/tokens", {}).json()
    assert (made["scopes"], made["expires_at"], made["name"]) == (["submit", "read"], None, "")


def test_only_ones_own(submitter, alice):
    token, raw = access.make_token(alice, {"read"})
    assert str(token.pk) not in submitter.get("/tokens").content.decode()
    assert_problem(submitter.delete(f"/tokens/{token.pk}"), 404)
    assert access.token_principal(raw)


@pytest.mark.parametrize("scopes", [("submit",), ("submit", "read", "operate")])
def test_a_token_without_admin_makes_none(api, scopes):
    client = api("sam", "submitter", scopes=scopes)
    assert_problem(client.post("/tokens", {"scopes": ["admin"]}), 403)
    assert_problem(client.get("/tokens"), 403)


def test_a_token_that_ends_makes_none_that_outlives_it(alice):
    client = Api(alice, ("admin",))
    Token.objects.update(expires_at=later(days=1))
    assert_problem(client.post("/tokens", {}), 400, "expires_at")
    assert_problem(client.post("/tokens", {"expires_at": later(days=2)}), 400, "expires_at")
    assert client.post("/tokens", {"expires_at": later(hours=1)}).status_code == 201


def test_in_the_browser(client, alice):
    client.force_login(alice)
    response = client.post("/api/v1/tokens", json.dumps({"name": "b"}), content_type="application/json")
    assert response.status_code == 201


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"scopes": []}, ["scopes"]),
        ({"scopes": ["write"]}, ["scopes[0]"]),
        ({"scopes": "read"}, ["scopes"]),
        ({"name": "x" * 101}, ["name"]),
        ({"name": "\0"}, ["name"]),
        ({"expires_at": "tomorrow", "user": "root"}, ["expires_at", "user"]),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, ["expires_at"]),
        ([], [""]),
    ],
)
def test_nonsense_is_named(submitter, body, fields):
    assert_problem(submitter.post("/tokens", body), 400, *fields)
