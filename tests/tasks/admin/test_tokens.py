"""Tokens: made with their text shown once, revoked for good, and nobody's rights lent by somebody else."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from tasks.access import make_token, token_principal
from tasks.admin.tokens import standing
from tasks.models import Token

pytestmark = pytest.mark.django_db
LIST, ADD = "admin:tasks_token_changelist", "admin:tasks_token_add"
RIGHTS = ("view_token", "add_token", "change_token")


def new(**fields) -> dict:
    return {"name": "CI", "scopes": ["submit", "read"], "expires_at_0": "", "expires_at_1": "", **fields}


def shown(response) -> str:
    found = re.search(r"th_[\w-]{43}", response.content.decode())
    assert found
    return found[0]


def test_a_token_is_shown_once(root, alice):
    response = root.post(reverse(ADD), new(user="alice"))
    raw = shown(response)
    assert "no-store" in response.headers["Cache-Control"]
    principal = token_principal(raw)
    assert principal is not None
    assert (principal.user, principal.scopes) == (alice, frozenset({"submit", "read"}))
    token = Token.objects.get()
    for address in (reverse(LIST), reverse("admin:tasks_token_change", args=[token.pk]), reverse("admin:index")):
        assert raw not in root.get(address).content.decode()
    assert LogEntry.objects.get().object_id == str(token.pk)


def test_one_makes_tokens_for_oneself_only(person, at_desk, root):
    user = person("uma", *RIGHTS)
    form = at_desk(user).get(reverse(ADD))
    assert 'name="user"' not in form.content.decode()
    principal = token_principal(shown(at_desk(user).post(reverse(ADD), new(user="root", scopes=["admin"]))))
    assert principal is not None
    assert principal.user == user


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"user": "nobody"}, "user"),
        ({"user": ""}, "user"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"expires_at_0": "2001-01-01", "expires_at_1": "00:00"}, "expires_at"),
        ({"name": "x" * 101}, "name"),
    ],
    ids=str,
)
def test_nonsense_is_named(root, alice, fields, field):
    response = root.post(reverse(ADD), new(**{"user": "alice"} | fields))
    assert field in response.context["adminform"].form.errors
    assert not Token.objects.exists()


def test_it_may_expire(root, alice):
    day = timezone.now() + dt.timedelta(days=3)
    root.post(reverse(ADD), new(user="alice", expires_at_0=f"{day:%Y-%m-%d}", expires_at_1="00:00"))
    assert Token.objects.get().expires_at == day.replace(hour=0, minute=0, second=0, microsecond=0)


def test_revoking_takes_a_confirmation_and_is_for_good(root, alice):
    token, raw = make_token(alice, ["read"])
    data = {"action": "revoke", "_selected_action": [str(token.pk)]}
    assert b"Revoke 1 token?" in root.post(reverse(LIST), {**data, "index": "0"}).content
    assert token_principal(raw)
    root.post(reverse(LIST), {**data, "post": "yes"})
    assert token_principal(raw) is None
    assert standing(Token.objects.get()) == "revoked"
    assert LogEntry.objects.get().change_message == "revoke: good → revoked"
    assert b"revoked already" in root.post(reverse(LIST), {**data, "index": "0"}).content


def test_one_sees_and_revokes_ones_own(person, at_desk, alice):
    user = person("uma", *RIGHTS)
    foreign, raw = make_token(alice, ["read"], name="hers")
    client = at_desk(user)
    assert "hers" not in client.get(reverse(LIST)).content.decode()
    client.post(reverse(LIST), {"action": "revoke", "_selected_action": [str(foreign.pk)], "post": "yes"})
    assert token_principal(raw)


def test_looking_does_not_include_making_or_revoking(person, at_desk):
    user = person("leo", "view_token")
    token, raw = make_token(user, ["read"])
    client = at_desk(user)
    assert client.get(reverse(LIST)).status_code == 200
    assert client.post(reverse(ADD), new()).status_code == 403
    client.post(reverse(LIST), {"action": "revoke", "_selected_action": [str(token.pk)], "post": "yes"})
    assert token_principal(raw)


def test_a_token_is_never_edited(root, alice):
    token, _ = make_token(alice, ["read"])
    address = reverse("admin:tasks_token_change", args=[token.pk])
    assert root.post(address, new(user="alice", scopes=["admin"])).status_code == 403
    assert token.digest not in root.get(address).content.decode()


def test_standing():
    past = timezone.now() - dt.timedelta(days=1)
    assert standing(Token()) == "good"
    assert standing(Token(expires_at=past)) == "expired"
    assert standing(Token(expires_at=past, revoked_at=past)) == "revoked"


def test_nonsense_ids_are_refused(root):
    data = {"action": "revoke", "_selected_action": ["x"], "post": "yes"}
    assert root.post(reverse(LIST), data).status_code == 400
