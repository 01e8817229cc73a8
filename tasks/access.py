"""Who is asking, and what they may: the one layer of rights below REST, sockets, dashboard and admin.

A `Principal` is a signed-in person or the holder of a token. A person has the permissions of the Django user; a token
has those of its user that its scopes let through. Anybody above the models may import this.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass, replace
from importlib import import_module
from types import SimpleNamespace
from typing import Any, TypeVar

from django.conf import settings
from django.contrib import auth
from django.db.models import QuerySet
from django.db.models.functions import Now

from tasks.database import database_now, transactional
from tasks.models import Marker, StreamTicket, Token
from tasks.models.pipelines import PipelineQuerySet
from tasks.models.tasks import TaskQuerySet
from tasks.rows import look_up
from tasks.states import Actions

Scopes = Token.Scopes
Seen = TypeVar("Seen", TaskQuerySet, PipelineQuerySet)

SCOPE_OF = {
    "submit_tasks": Scopes.SUBMIT,
    "view_all_tasks": Scopes.READ,
    "view_queues": Scopes.READ,
    "view_workers": Scopes.READ,
    "view_metrics": Scopes.READ,
    "operate_tasks": Scopes.OPERATE,
    "operate_queues": Scopes.OPERATE,
}  # any other permission takes `admin`, which also includes the other three
# What owners may do to their own tasks. Retry and resurrect spend the hub's time again, and are an operator's.
OWNERS_ACTIONS = frozenset({Actions.CANCEL, Actions.PAUSE, Actions.RESUME})
TICKET_LIFE = dt.timedelta(seconds=30)
USED_PRECISION = dt.timedelta(minutes=1)  # how old `last_used_at` may be: a write for each request would be too many
PREFIX = "th_"


@dataclass(frozen=True, slots=True)
class Principal:
    """A user, and through what they came. `scopes` is None for a session, which is not cut to any."""

    user: Any
    scopes: frozenset[str] | None = None
    token: Token | None = None
    session_key: str = ""

    @property
    def name(self) -> str:
        """The username: what the event log calls the actor."""
        return self.user.get_username()

    @property
    def key(self) -> str:
        """The one whose requests are counted: each token for itself, all sessions of a user together."""
        return f"token:{self.token.pk}" if self.token else f"user:{self.user.pk}"

    def has(self, scope: str) -> bool:
        return self.scopes is None or scope in self.scopes or Scopes.ADMIN in self.scopes

    def may(self, permission: str) -> bool:
        """`permission` is the codename of one of this app, `view_all_tasks` say."""
        return self.has(SCOPE_OF.get(permission, Scopes.ADMIN)) and self.user.has_perm(f"tasks.{permission}")

    def sees(self, owner_id: int | None) -> bool:
        """Whether a task of that owner is visible: own ones with the scope `read`, the others with `view_all_tasks`."""
        return self.has(Scopes.READ) and (owner_id == self.user.pk or self.may("view_all_tasks"))

    def visible(self, rows: Seen) -> Seen:
        """Those tasks, or pipelines, that may be read."""
        return self.reachable(rows) if self.has(Scopes.READ) else rows.none()

    def reachable(self, rows: Seen) -> Seen:
        """Those that an action of this principal may name at all: what the user sees, whatever the token's scopes."""
        return rows.visible_to(self.user)

    def may_act(self, action: Actions, owner_id: int | None) -> bool:
        """Whether they may do `action` to a task of that owner: operators to any, owners some to their own."""
        owns = owner_id == self.user.pk and (self.has(Scopes.SUBMIT) or self.has(Scopes.OPERATE))
        return (owns and action in OWNERS_ACTIONS) or self.may("operate_tasks")


# -- sessions ------------------------------------------------------------------------------------------------------


def session_principal(user: Any, session_key: str) -> Principal:
    return Principal(user, session_key=session_key or "")


def principal_of_session(session_key: str) -> Principal | None:
    """Whoever is signed in there; None for a session that has ended or is nobody's."""
    user = _session_user(session_key)
    return session_principal(user, session_key) if user.is_authenticated and user.is_active else None


def still_valid(principal: Principal) -> Principal | None:
    """The same principal as the database knows it now; None when its token, session or user has ended.

    Permissions are read afresh, since they are cached on the user.
    """
    if principal.token:
        token = _good_token(pk=principal.token.pk)
        return replace(principal, user=token.user, scopes=_cut(principal, token), token=token) if token else None
    user = _session_user(principal.session_key)
    return replace(principal, user=user) if user == principal.user and user.is_active else None


def _cut(principal: Principal, token: Token) -> frozenset[str]:
    """The scopes that both have: a ticket keeps those it was made with."""
    return (principal.scopes or frozenset()) & frozenset(token.scopes)


def _session_user(session_key: str) -> Any:
    """The user whom a session belongs to, by Django's own rules (backend, password hash); else an anonymous one."""
    store = import_module(settings.SESSION_ENGINE).SessionStore(session_key or None)
    return auth.get_user(SimpleNamespace(session=store))  # type: ignore[arg-type]


# -- tokens --------------------------------------------------------------------------------------------------------


def make_token(
    user: Any, scopes: Collection[str], expires_at: dt.datetime | None = None, name: str = ""
) -> tuple[Token, str]:
    """A new token and its text, which is shown this once. Raises `ValueError` for unknown scopes or none."""
    raw = PREFIX + secrets.token_urlsafe(32)
    return _store_token(user, raw, scopes, expires_at, name), raw


def _store_token(user: Any, raw: str, scopes: Collection[str], expires_at: dt.datetime | None, name: str) -> Token:
    if not scopes or set(scopes) - set(Scopes.values):
        raise ValueError(f"Scopes must be some of {', '.join(Scopes.values)}.")
    ordered = [scope for scope in Scopes.values if scope in scopes]
    return Token.objects.create(
        user=user, name=name, prefix=raw[:12], digest=digest(raw), scopes=ordered, expires_at=expires_at
    )


def token_principal(raw: str) -> Principal | None:
    """The holder of a token; None when it is unknown, expired or revoked, or its user is inactive."""
    token = _good_token(digest=digest(raw))
    if token is None:
        return None
    _mark_used(token)
    return Principal(token.user, frozenset(token.scopes), token)


def revoke(tokens: QuerySet[Token]) -> int:
    """End tokens now. Returns how many were still good."""
    return tokens.filter(revoked_at=None).update(revoked_at=Now())


def digest(raw: str) -> str:
    """What is stored of a secret: it has 256 random bits, so that a plain hash is as good as a slow one."""
    return hashlib.sha256(raw.encode(errors="replace")).hexdigest()


def _good_token(**which: Any) -> Token | None:
    """Judged here instead of in SQL: every request does it, and Django takes its time over a long query."""
    token = look_up(Token, **which)
    user = look_up(auth.get_user_model(), pk=token.user_id) if token else None
    if token is None or user is None:
        return None
    token.user = user
    ended = token.revoked_at or (token.expires_at and token.expires_at <= dt.datetime.now(dt.UTC))
    return None if ended or not user.is_active else token


def _mark_used(token: Token) -> None:
    last = token.last_used_at
    if last is None or last < dt.datetime.now(dt.UTC) - USED_PRECISION:
        Token.objects.filter(pk=token.pk, last_used_at=last).update(last_used_at=Now())


# -- tickets -------------------------------------------------------------------------------------------------------


def make_ticket(principal: Principal) -> tuple[str, dt.datetime]:
    """A single-use key to one WebSocket, and when it expires. It ends with the token or session that made it."""
    now = database_now()
    StreamTicket.objects.filter(expires_at__lt=now).delete()
    raw = secrets.token_urlsafe(32)
    ticket = StreamTicket.objects.create(
        digest=digest(raw),
        user=principal.user,
        token=principal.token,
        session_key=principal.session_key,
        scopes=sorted(principal.scopes or ()),
        expires_at=now + TICKET_LIFE,
    )
    return raw, ticket.expires_at


def redeem_ticket(raw: str) -> Principal | None:
    """Who made the ticket, once: whoever deletes the row has it. None when it is unknown, used or expired."""
    tickets = StreamTicket.objects.filter(digest=digest(raw), expires_at__gt=Now())
    ticket = tickets.select_related("user", "token").first()
    if ticket is None or not tickets.delete()[0]:
        return None
    scopes = frozenset(ticket.scopes) if ticket.token else None
    return still_valid(Principal(ticket.user, scopes, ticket.token, ticket.session_key))


# -- the first user ------------------------------------------------------------------------------------------------

ADMIN = "admin"
ADMIN_TOKEN = "TASKHUB_ADMIN_TOKEN"  # noqa: S105 - the name of what the environment gave
ADMIN_PASSWORD = "admin_password"  # noqa: S105 - the marker that says which one the environment gave


def bootstrap() -> Any:
    """Bring the user `admin` in line with `TASKHUB_ADMIN_PASSWORD` and `TASKHUB_ADMIN_TOKEN`, at every start.

    What these said before ends when they say something else or nothing. Returns the user; None where there is none,
    which is in production without either of the two.
    """
    return keep_admin(create=settings.DEVELOPMENT)


@transactional
def keep_admin(*, create: bool = False) -> Any:
    given = bool(settings.TASKHUB_ADMIN_PASSWORD or settings.TASKHUB_ADMIN_TOKEN)
    users = auth.get_user_model().objects
    admin = users.filter(username=ADMIN).first() or (users.create_superuser(ADMIN) if create or given else None)
    if admin is None:
        return None
    if given and not admin.is_superuser:
        admin.is_superuser = admin.is_staff = True
        admin.save(update_fields=["is_superuser", "is_staff"])
    _keep_password(admin, settings.TASKHUB_ADMIN_PASSWORD)
    _keep_admin_token(admin, settings.TASKHUB_ADMIN_TOKEN)
    return admin


def _keep_password(admin: Any, password: str) -> None:
    marker = Marker.objects.filter(name=ADMIN_PASSWORD).first()
    if password:
        if not admin.check_password(password):
            admin.set_password(password)
            admin.save(update_fields=["password"])
        Marker.objects.update_or_create(name=ADMIN_PASSWORD, defaults={"value": {"hash": admin.password}})
    elif marker:
        if marker.value["hash"] == admin.password:  # nobody has chosen another since
            admin.set_unusable_password()
            admin.save(update_fields=["password"])
        marker.delete()


def _keep_admin_token(admin: Any, raw: str) -> None:
    given = Token.objects.filter(user=admin, name=ADMIN_TOKEN)
    revoke(given.exclude(digest=digest(raw)))
    if raw and not given.filter(digest=digest(raw), revoked_at=None).exists():
        values = {"user": admin, "name": ADMIN_TOKEN, "prefix": raw[:4], "scopes": [Scopes.ADMIN], "revoked_at": None}
        Token.objects.update_or_create(digest=digest(raw), defaults=values)
