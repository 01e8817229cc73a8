"""`manage.py token` prints a token that works, and says what would make it useless."""

from __future__ import annotations

import datetime as dt
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

from tasks import access
from tasks.models import Token

pytestmark = pytest.mark.django_db


def token(*args):
    """What it prints: the token, and the remarks."""
    out, err = StringIO(), StringIO()
    call_command("token", *args, stdout=out, stderr=err)
    return out.getvalue().splitlines()[-1], err.getvalue()


def test_a_new_user_can_submit_and_read_at_once():
    raw, remarks = token("sam", "--create")
    principal = access.token_principal(raw)
    assert (principal.name, principal.scopes) == ("sam", {"submit", "read"})
    assert principal.may("submit_tasks")
    assert not principal.may("view_all_tasks")
    assert remarks == "Made the user sam, in the group submitter.\n"
    assert not principal.user.has_usable_password()


@pytest.mark.parametrize(
    ("scopes", "group", "may"),
    [
        (["read"], "viewer", "view_metrics"),
        (["operate"], "operator", "operate_queues"),
        (["admin"], "admin", "delete_task"),
    ],
)
def test_a_new_user_is_in_the_group_that_the_scopes_ask_for(scopes, group, may):
    raw, _ = token("sam", "--create", *(f"--scope={scope}" for scope in scopes))
    principal = access.token_principal(raw)
    assert principal.may(may)
    assert [group.name for group in principal.user.groups.all()] == [group]


def test_a_user_who_is_there_stays_as_they_are(alice):
    raw, remarks = token("alice", "--create", "--scope=submit", "--scope=operate")
    assert access.token_principal(raw).user == alice
    assert not alice.groups.exists()
    assert "alice lacks tasks.submit_tasks" in remarks
    assert "alice lacks tasks.operate_tasks" in remarks


def test_an_inactive_user_is_pointed_out(alice):
    get_user_model().objects.update(is_active=False)
    raw, remarks = token("alice")
    assert "inactive" in remarks
    assert access.token_principal(raw) is None


def test_expiry(alice):
    token("alice", "--expires", "2")
    left = Token.objects.get().expires_at - dt.datetime.now(dt.UTC)
    assert dt.timedelta(days=1, hours=23) < left <= dt.timedelta(days=2)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["nobody"], "--create"),
        (["a b", "--create"], "cannot be a username"),
        (["", "--create"], "cannot be a username"),
        (["x" * 151, "--create"], "cannot be a username"),
        (["alice", "--expires", "0"], "--expires"),
        (["alice", "--expires", "nan"], "--expires"),
        (["alice", "--expires", "1e300"], "--expires"),
        (["alice", "--scope", "write"], "write"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(alice, args, says):
    with pytest.raises(CommandError, match=says):
        token(*args)
    assert not Token.objects.exists()
