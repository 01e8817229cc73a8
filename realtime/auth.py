"""Who opens a socket, what they may follow there, and whether that still holds.

Four ways in, as the contract has them: a session cookie from a page of our own, a bearer token, a single-use ticket in
the address, or a first frame. Everything here but `Rights` asks the database: call it in a database thread.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http.request import split_domain_port, validate_host

from realtime.messages import Authenticate
from tasks import access
from tasks.access import Principal
from tasks.models import Token

NEVER_IN_AN_ADDRESS = ("token", "access_token", "authorization", "bearer")  # addresses end up in logs


class Refused(Exception):
    """Credentials were brought and are no good."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a principal may follow, asked once so that the event loop needn't: the permissions are in the database."""

    user_id: int
    reads: bool
    sees_all: bool
    sees_queues: bool

    @property
    def owner_id(self) -> int | None:
        """Whose tasks they see; None is everybody's."""
        return None if self.sees_all else self.user_id

    def see(self, owner_id: int | None) -> bool:
        return self.reads and (self.sees_all or owner_id == self.user_id)


def rights(principal: Principal) -> Rights:
    return Rights(
        principal.user.pk,
        reads=principal.has(access.Scopes.READ),
        sees_all=principal.may("view_all_tasks"),
        sees_queues=principal.may("view_queues"),
    )


# -- the ways in ---------------------------------------------------------------------------------------------------


def of_handshake(scope: dict[str, Any]) -> Principal | None:
    """Who opens the socket; None when the handshake says nothing about it. Raises `Refused`.

    A session counts only from a page of our own: any other page on the web can open a socket with our cookie too. Such
    a page is refused at once; of its own it would bring a ticket.
    """
    headers = {name.decode("latin1").lower(): value.decode("latin1") for name, value in scope["headers"]}
    query = parse_qs(scope.get("query_string", b"").decode("latin1"))
    if any(name in query for name in NEVER_IN_AN_ADDRESS):
        raise Refused("A token must not be part of an address.")
    if authorization := headers.get("authorization"):
        return _of_header(authorization)
    if tickets := query.get("ticket"):
        return _known(access.redeem_ticket(tickets[-1]))
    session_key = _session_key(headers.get("cookie", ""))
    principal = access.principal_of_session(session_key) if session_key else None
    if principal is None or is_ours(headers):
        return principal
    if headers.get("origin"):
        raise Refused("A session counts only from a page of the hub's own.")
    return None  # a program, which may still bring a token of its own


def of_frame(frame: Authenticate) -> Principal:
    """Who sends the first frame. Raises `Refused`."""
    if frame.token is not None:
        return _known(access.token_principal(frame.token))
    return _known(access.redeem_ticket(frame.ticket or ""))


def is_ours(headers: dict[str, str]) -> bool:
    """Whether the page that opens the socket came from the host that it opens it to, or from a trusted origin."""
    origin, host = headers.get("origin", ""), headers.get("host", "")
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    if not validate_host(split_domain_port(host)[0], [*map(str, settings.ALLOWED_HOSTS)]):
        return False
    schemes = ("https",) if settings.SESSION_COOKIE_SECURE else ("http", "https")
    return origin in {f"{scheme}://{host}" for scheme in schemes}


def _of_header(authorization: str) -> Principal:
    scheme, _, raw = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise Refused("Only bearer tokens are taken.")
    return _known(access.token_principal(raw.strip()))


def _known(principal: Principal | None) -> Principal:
    if principal is None:
        raise Refused("These credentials are unknown, used, expired or revoked.")
    return principal


def _session_key(cookie: str) -> str:
    try:
        morsel = SimpleCookie(cookie).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


# -- whether it still holds ----------------------------------------------------------------------------------------


def fingerprints(principals: Collection[Principal]) -> dict[Principal, Any]:
    """For each principal what changes when it may have ended: three questions, however many principals there are.

    It tells of the ends that must be noticed at once: of token, session and user. Permissions are for `still_valid`.
    """
    users = _rows(get_user_model().objects.filter(pk__in={who.user.pk for who in principals}), "is_active", "password")
    tokens = _rows(Token.objects.filter(pk__in={who.token.pk for who in principals if who.token}), "revoked_at")
    unexpired = Session.objects.filter(expire_date__gt=Now())
    sessions = _rows(unexpired.filter(pk__in={who.session_key for who in principals if who.session_key}))
    return {
        who: (users.get(who.user.pk), tokens.get(who.token.pk) if who.token else sessions.get(who.session_key))
        for who in principals
    }


def _rows(rows: QuerySet, *fields: str) -> dict[Any, tuple]:
    return {pk: values for pk, *values in rows.values_list("pk", *fields)}
