"""The matrix of credentials and origins, and the rights that come of them."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from realtime import auth
from realtime.auth import Refused
from realtime.messages import Authenticate
from tasks.access import make_ticket, make_token, revoke, session_principal, token_principal
from tasks.models import StreamTicket, Token

pytestmark = pytest.mark.django_db
HOST = "hub.test:8000"


@pytest.fixture(autouse=True)
def hosts(settings):
    settings.ALLOWED_HOSTS = ["hub.test", ".example.com"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://console.example.com"]
    settings.SESSION_COOKIE_SECURE = False


def scope(query: str = "", **headers: str) -> dict:
    headers = {"host": HOST} | headers
    return {"headers": [(n.encode(), v.encode()) for n, v in headers.items()], "query_string": query.encode()}


@pytest.fixture
def cookie(alice) -> str:
    client = Client()
    client.force_login(alice)
    return f"other=1; sessionid={client.cookies['sessionid'].value}"


# -- sessions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "host", "counts"),
    [
        (f"http://{HOST}", HOST, True),
        (f"https://{HOST}", HOST, True),
        ("https://console.example.com", HOST, True),
        ("http://console.example.com", HOST, False),
        ("http://hub.test", HOST, False),
        ("http://hub.test:9000", HOST, False),
        ("http://evil.test:8000", HOST, False),
        ("http://hub.test:8000.evil.test", HOST, False),
        (f"http://{HOST}/", HOST, False),
        (f"ftp://{HOST}", HOST, False),
        ("null", HOST, False),
        ("http://evil.test", "evil.test", False),
        ("http://hub.test:notaport", HOST, False),
        ("http://[", HOST, False),
    ],
)
def test_a_session_counts_only_from_a_page_of_ours(cookie, alice, origin, host, counts):
    opened = scope(cookie=cookie, host=host, origin=origin)
    if counts:
        principal = auth.of_handshake(opened)
        assert principal
        assert principal.user == alice
    else:
        with pytest.raises(Refused):
            auth.of_handshake(opened)


def test_a_program_that_sends_a_cookie_may_still_bring_a_token(cookie):
    assert auth.of_handshake(scope(cookie=cookie)) is None
    assert auth.of_handshake(scope(cookie=cookie, origin="")) is None


def test_a_foreign_page_that_has_no_session_may_still_bring_a_token(cookie):
    assert auth.of_handshake(scope(cookie="sessionid=ended", origin="http://elsewhere.test")) is None


def test_a_ticket_counts_before_a_foreign_pages_cookie(cookie, alice, bob):
    bobs = Client()
    bobs.force_login(bob)
    raw, _ = make_ticket(session_principal(bob, bobs.cookies["sessionid"].value))
    principal = auth.of_handshake(scope(f"ticket={raw}", cookie=cookie, origin="http://elsewhere.test"))
    assert principal
    assert principal.user == bob


def test_behind_https_a_page_without_it_is_not_ours(cookie, settings):
    settings.SESSION_COOKIE_SECURE = True
    with pytest.raises(Refused):
        auth.of_handshake(scope(cookie=cookie, origin=f"http://{HOST}"))
    assert auth.of_handshake(scope(cookie=cookie, origin=f"https://{HOST}")) is not None


@pytest.mark.parametrize("cookie", ["sessionid=nonsense", "sessionid=", "a=b", "\x00", "sessionid", "=;=;="])
def test_a_cookie_that_is_no_session_says_nothing(cookie):
    assert auth.of_handshake(scope(cookie=cookie, origin=f"http://{HOST}")) is None


def test_an_inactive_user_has_no_session(cookie, alice):
    alice.is_active = False
    alice.save()
    assert auth.of_handshake(scope(cookie=cookie, origin=f"http://{HOST}")) is None


# -- tokens and tickets --------------------------------------------------------------------------------------------


def test_a_bearer_token_needs_no_origin(alice, cookie):
    _, raw = make_token(alice, ["read"])
    principal = auth.of_handshake(scope(authorization=f"Bearer {raw}", cookie=cookie, origin="http://evil.test"))
    assert principal
    assert (principal.user, principal.scopes) == (alice, {"read"})


@pytest.mark.parametrize("state", ["unknown", "revoked", "expired", "inactive"])
def test_a_token_that_is_no_good_is_refused(alice, state):
    expires = timezone.now() - dt.timedelta(seconds=1) if state == "expired" else None
    _, raw = make_token(alice, ["read"], expires_at=expires)
    if state == "revoked":
        revoke(Token.objects.all())
    if state == "inactive":
        alice.is_active = False
        alice.save()
    raw = "th_unknown" if state == "unknown" else raw
    for attempt in (
        lambda: auth.of_handshake(scope(authorization=f"Bearer {raw}")),
        lambda: auth.of_frame(Authenticate(token=raw)),
    ):
        with pytest.raises(Refused):
            attempt()


@pytest.mark.parametrize("query", ["token=%s", "access_token=%s", "a=b&token=%s", "bearer=%s", "ticket=%s"])
def test_a_token_never_goes_into_an_address(alice, query):
    _, raw = make_token(alice, ["read"])
    with pytest.raises(Refused):
        auth.of_handshake(scope(query % raw))


def test_a_ticket_is_good_once_and_not_for_long(alice):
    maker = token_principal(make_token(alice, ["read", "submit"])[1])
    assert maker
    raw, _ = make_ticket(maker)
    principal = auth.of_handshake(scope(f"ticket={raw}"))
    assert principal
    assert (principal.user, principal.scopes) == (alice, {"read", "submit"})
    with pytest.raises(Refused):
        auth.of_handshake(scope(f"ticket={raw}"))

    raw, _ = make_ticket(maker)
    StreamTicket.objects.update(expires_at=timezone.now())
    with pytest.raises(Refused):
        auth.of_frame(Authenticate(ticket=raw))


def test_a_ticket_ends_with_what_made_it(alice):
    token, raw = make_token(alice, ["read"])
    maker = token_principal(raw)
    assert maker
    ticket, _ = make_ticket(maker)
    revoke(Token.objects.filter(pk=token.pk))
    with pytest.raises(Refused):
        auth.of_handshake(scope(f"ticket={ticket}"))


def test_nothing_says_nothing():
    assert auth.of_handshake(scope()) is None


# -- rights --------------------------------------------------------------------------------------------------------


def test_rights_are_those_of_scopes_and_permissions(alice):
    alice.user_permissions.add(Permission.objects.get(codename="view_queues"))
    reader = auth.rights(token_principal(make_token(alice, ["read"])[1]))
    assert (reader.reads, reader.sees_all, reader.sees_queues, reader.owner_id) == (True, False, True, alice.pk)
    assert reader.see(alice.pk)
    assert not reader.see(None)

    sender = auth.rights(token_principal(make_token(alice, ["submit"])[1]))
    assert (sender.reads, sender.sees_queues, sender.see(alice.pk)) == (False, False, False)

    alice.is_superuser = True
    alice.save()
    everything = auth.rights(token_principal(make_token(alice, ["read"])[1]))
    assert (everything.sees_all, everything.owner_id, everything.see(None)) == (True, None, True)


def test_a_fingerprint_changes_when_token_session_or_user_end(alice, bob, django_assert_num_queries):
    client = Client()
    client.force_login(alice)
    by_session = session_principal(alice, client.session.session_key)
    by_token = token_principal(make_token(bob, ["read"])[1])
    with django_assert_num_queries(3):
        before = auth.fingerprints([by_session, by_token])
    assert auth.fingerprints([by_session, by_token]) == before

    revoke(Token.objects.all())
    after = auth.fingerprints([by_session, by_token])
    assert after[by_token] != before[by_token]
    assert after[by_session] == before[by_session]

    client.logout()
    assert auth.fingerprints([by_session])[by_session] != before[by_session]
    bob.is_active = False
    bob.save()
    assert auth.fingerprints([by_token])[by_token] != after[by_token]
