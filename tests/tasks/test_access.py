"""Who may what: scopes cut permissions, and everything that lets somebody in can end."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.auth.models import AnonymousUser, Permission
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client

from tasks import access
from tasks.access import Principal
from tasks.models import StreamTicket, Task, Token
from tests.factories import make_task

PERMISSIONS = list(access.SCOPE_OF)


def grant(user, *codenames):
    user.user_permissions.add(*Permission.objects.filter(content_type__app_label="tasks", codename__in=codenames))
    return type(user).objects.get(pk=user.pk)


def later(**delta):
    return dt.datetime.now(dt.UTC) + dt.timedelta(**delta)


def sign_in(user):
    client = Client()
    client.force_login(user)
    return access.session_principal(user, client.session.session_key)


@pytest.mark.parametrize("permission", PERMISSIONS)
@pytest.mark.parametrize("scope", Token.Scopes.values)
def test_a_token_may_what_its_scopes_let_through(alice, permission, scope):
    alice = grant(alice, *PERMISSIONS)
    allowed = Principal(alice, frozenset({scope})).may(permission)
    assert allowed == (scope in (access.SCOPE_OF[permission], "admin"))


def test_no_scope_gives_what_the_user_may_not(alice):
    assert not any(Principal(alice, frozenset({"admin"})).may(permission) for permission in PERMISSIONS)


def test_a_session_is_not_cut(alice):
    assert access.session_principal(grant(alice, "operate_tasks"), "key").may("operate_tasks")


def test_a_permission_that_no_scope_names_takes_admin(alice):
    alice = grant(alice, "delete_task")
    assert not Principal(alice, frozenset({"submit", "read", "operate"})).may("delete_task")
    assert Principal(alice, frozenset({"admin"})).may("delete_task")


def test_nobody_is_nobody():
    nobody = Principal(AnonymousUser())
    assert not any(nobody.may(permission) for permission in PERMISSIONS)


def test_owners_see_their_own_and_viewers_all(alice, bob):
    mine, hers = make_task(owner=bob), make_task(owner=alice)
    nobodys = make_task()
    viewer = Principal(grant(alice, "view_all_tasks"), frozenset({"read"}))
    owner = Principal(bob, frozenset({"read"}))
    assert set(owner.visible(Task.objects.all())) == {mine}
    assert set(viewer.visible(Task.objects.all())) == {mine, hers, nobodys}
    assert [owner.sees(bob.pk), owner.sees(alice.pk), owner.sees(None)] == [True, False, False]
    assert [viewer.sees(bob.pk), viewer.sees(alice.pk), viewer.sees(None)] == [True, True, True]


def test_without_the_scope_read_nothing_is_visible(alice):
    make_task(owner=alice)
    principal = Principal(alice, frozenset({"submit", "operate"}))
    assert not principal.visible(Task.objects.all()).exists()
    assert not principal.sees(alice.pk)
    assert principal.reachable(Task.objects.all()).exists()


@pytest.mark.parametrize("action", ["retry", "resurrect", "cancel", "pause", "resume"])
def test_owners_hold_their_own_and_operators_act_on_any(alice, bob, action):
    owner, reader = Principal(bob, frozenset({"submit"})), Principal(bob, frozenset({"read"}))
    operator = Principal(grant(alice, "operate_tasks"), frozenset({"operate"}))
    assert owner.may_act(action, bob.pk) == (action in ("cancel", "pause", "resume"))
    assert operator.may_act(action, bob.pk)
    assert not reader.may_act(action, bob.pk)
    assert not owner.may_act(action, alice.pk)


# -- tokens --------------------------------------------------------------------------------------------------------


def test_a_token_is_stored_as_a_hash_only(alice):
    token, raw = access.make_token(alice, {"submit", "read"}, name="ci")
    assert raw.startswith("th_")
    assert len(raw) > 43
    row = Token.objects.values().get(pk=token.pk)
    assert raw not in str(row)
    assert row["scopes"] == ["submit", "read"]
    assert row["prefix"] == raw[:12]


@pytest.mark.parametrize("scopes", [set(), {"write"}, {"read", "write"}])
def test_a_token_needs_scopes_that_exist(alice, scopes):
    with pytest.raises(ValueError, match="submit, read, operate, admin"):
        access.make_token(alice, scopes)


def test_a_token_names_its_user_and_scopes(alice):
    token, raw = access.make_token(alice, {"read"})
    principal = access.token_principal(raw)
    assert (principal.user, principal.scopes, principal.token) == (alice, {"read"}, token)
    assert principal.name == "alice"


@pytest.mark.parametrize("raw", ["", "th_", "th_" + "x" * 43, "\ud800", "\0"])
def test_an_unknown_token_is_nobody(db, raw):
    assert access.token_principal(raw) is None


def test_a_token_ends_by_expiry_revocation_and_with_its_user(alice):
    expired, expired_raw = access.make_token(alice, {"read"}, later(seconds=-1))
    good, raw = access.make_token(alice, {"read"}, later(days=1))
    principal = access.token_principal(raw)
    assert access.token_principal(expired_raw) is None
    assert access.still_valid(Principal(alice, frozenset({"read"}), expired)) is None
    assert access.still_valid(principal) == principal
    assert access.revoke(Token.objects.filter(pk=good.pk)) == 1
    assert access.token_principal(raw) is None
    assert access.still_valid(principal) is None


def test_a_token_of_an_inactive_user_is_dead(alice):
    _, raw = access.make_token(alice, {"read"})
    type(alice).objects.update(is_active=False)
    assert access.token_principal(raw) is None


def test_last_use_is_noted_once_a_minute(alice, django_assert_num_queries):
    token, raw = access.make_token(alice, {"read"})
    access.token_principal(raw)
    first = Token.objects.get(pk=token.pk).last_used_at
    assert first is not None
    with django_assert_num_queries(2):  # the token and its user
        access.token_principal(raw)
    Token.objects.update(last_used_at=later(minutes=-2))
    access.token_principal(raw)
    assert Token.objects.get(pk=token.pk).last_used_at >= first


# -- sessions ------------------------------------------------------------------------------------------------------


def test_a_session_ends_by_logout_new_password_and_with_its_user(alice):
    principal = sign_in(alice)
    assert access.still_valid(principal).user == alice
    SessionStore(principal.session_key).delete()
    assert access.still_valid(principal) is None

    principal = sign_in(alice)
    alice.set_password("other")
    alice.save()
    assert access.still_valid(principal) is None

    principal = sign_in(alice)
    type(alice).objects.update(is_active=False)
    assert access.still_valid(principal) is None


def test_permissions_are_read_afresh(alice):
    principal = sign_in(alice)
    assert not principal.may("operate_tasks")
    grant(alice, "operate_tasks")
    assert access.still_valid(principal).may("operate_tasks")


def test_somebody_elses_session_is_not_valid(alice, bob):
    theirs = sign_in(bob)
    assert access.still_valid(access.session_principal(alice, theirs.session_key)) is None
    assert access.still_valid(access.session_principal(alice, "")) is None


# -- tickets -------------------------------------------------------------------------------------------------------


def test_a_ticket_opens_once_with_the_rights_of_its_maker(alice):
    token, raw = access.make_token(alice, {"read"})
    ticket, expires_at = access.make_ticket(access.token_principal(raw))
    assert dt.timedelta(seconds=25) < expires_at - dt.datetime.now(dt.UTC) <= dt.timedelta(seconds=30)
    redeemed = access.redeem_ticket(ticket)
    assert (redeemed.user, redeemed.scopes, redeemed.token) == (alice, {"read"}, token)
    assert access.redeem_ticket(ticket) is None


def test_a_ticket_of_a_session_has_the_session(alice):
    principal = sign_in(alice)
    ticket, _ = access.make_ticket(principal)
    assert access.redeem_ticket(ticket) == principal


def test_a_ticket_ends_with_what_made_it(alice):
    token, raw = access.make_token(alice, {"read"})
    ticket, _ = access.make_ticket(access.token_principal(raw))
    access.revoke(Token.objects.filter(pk=token.pk))
    assert access.redeem_ticket(ticket) is None


def test_an_expired_ticket_opens_nothing_and_is_swept_away(alice):
    principal = sign_in(alice)
    ticket, _ = access.make_ticket(principal)
    StreamTicket.objects.update(expires_at=later(seconds=-1))
    assert access.redeem_ticket(ticket) is None
    access.make_ticket(principal)
    assert StreamTicket.objects.count() == 1
