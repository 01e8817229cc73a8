"""`/tokens`: one's own. They are made in the browser, or with a token of the scope `admin`."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Any, Literal, TypedDict

import msgspec
from msgspec import Meta
from rest_framework.request import Request
from rest_framework.response import Response

from tasks import access, audit
from tasks.access import Principal
from tasks.api.endpoint import Endpoint
from tasks.api.schema import operation
from tasks.database import transactional
from tasks.documents import check_document
from tasks.exceptions import FieldError, InvalidTask
from tasks.models import Token
from tasks.representation import maybe, moment
from tasks.submission import convert

Scope = Literal["submit", "read", "operate", "admin"]


class NewToken(msgspec.Struct, forbid_unknown_fields=True):
    """A request for a token of the caller's. Without `expires_at` it is good until it is revoked."""

    scopes: Annotated[list[Scope], Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["submit", "read"])
    name: Annotated[str, Meta(max_length=100)] = ""
    expires_at: Annotated[dt.datetime, Meta(tz=True)] | None = None


class TokenJSON(TypedDict):
    """A token, known by its first characters. `last_used_at` is exact to a minute."""

    id: str
    name: str
    prefix: str
    scopes: list[Scope]
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None


class TokenListJSON(TypedDict):
    """The newest first."""

    results: list[TokenJSON]


class CreatedTokenJSON(TokenJSON):
    """A new token; `token` is its text, which is shown this once."""

    token: str


class Tokens(Endpoint):
    needs = {"GET": "admin", "POST": "admin"}

    @operation("List one's tokens", {200: TokenListJSON}, tag="tokens", id="list_tokens")
    def get(self, request: Request) -> Response:
        tokens = Token.objects.filter(user=self.principal.user).order_by("-id")
        return Response({"results": [token_json(token) for token in tokens]})

    @operation("Make a token", {201: CreatedTokenJSON}, tag="tokens", body=NewToken, errors=(413, 415), id="make_token")
    def post(self, request: Request) -> Response:
        check_document(request.data)
        new: NewToken = convert(request.data, NewToken)
        _check_expiry(new, self.principal)
        token, raw = _make(self.principal.user, new)
        return Response({**token_json(token), "token": raw}, status=201)


class OneToken(Endpoint):
    needs = {"DELETE": "admin"}

    @operation("Revoke a token", {204: None}, tag="tokens", errors=(404,), id="revoke_token")
    def delete(self, request: Request, id: uuid.UUID) -> Response:
        _revoke(Token.objects.get(pk=id, user=self.principal.user))
        return Response(status=204)


@transactional
def _make(user: Any, new: NewToken) -> tuple[Token, str]:
    token, raw = access.make_token(user, new.scopes, new.expires_at, new.name)
    token.refresh_from_db()
    audit.record(user, [token], f"made, for {', '.join(token.scopes)}", audit.ADDITION)
    return token, raw


@transactional
def _revoke(token: Token) -> None:
    if access.revoke(Token.objects.filter(pk=token.pk)):
        audit.record(token.user, [token], "revoke: good → revoked")


def token_json(token: Token) -> TokenJSON:
    return {
        "id": str(token.pk),
        "name": token.name,
        "prefix": token.prefix,
        "scopes": token.scopes,
        "created_at": moment(token.created_at),
        "expires_at": maybe(token.expires_at),
        "last_used_at": maybe(token.last_used_at),
        "revoked_at": maybe(token.revoked_at),
    }


def _check_expiry(new: NewToken, maker: Principal) -> None:
    """A token that ends cannot make one that doesn't."""
    latest = maker.token.expires_at if maker.token else None
    if new.expires_at and not 1970 <= new.expires_at.year <= 9000:
        raise InvalidTask(FieldError("expires_at", "Give a year from 1970 to 9000."))
    if latest and (new.expires_at is None or new.expires_at > latest):
        raise InvalidTask(FieldError("expires_at", f"The token that makes it ends at {moment(latest)}."))
