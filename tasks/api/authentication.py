"""Who is asking: `Authorization: Bearer <token>`, else the session cookie. `request.auth` becomes a `Principal`."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from tasks import access
from tasks.access import Principal

CHALLENGE = 'Bearer realm="taskhub"'


class TokenAuthentication(authentication.BaseAuthentication):
    """A token that is sent must be good: a bad one is never passed over for the cookie that came with it."""

    def authenticate(self, request: Request) -> tuple[Any, Principal] | None:
        scheme, _, raw = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        if principal := access.token_principal(raw.strip()):
            return principal.user, principal
        raise AuthenticationFailed("The token is unknown, expired or revoked.")

    def authenticate_header(self, request: Request) -> str:
        bearer = request.headers.get("Authorization", "").lower().startswith("bearer")
        return f'{CHALLENGE}, error="invalid_token"' if bearer else CHALLENGE


class SessionAuthentication(authentication.SessionAuthentication):
    """Django's session, with its CSRF check for whatever may change something."""

    def authenticate(self, request: Request) -> tuple[Any, Principal] | None:
        signed_in = super().authenticate(request)
        if signed_in is None:
            return None
        user = signed_in[0]
        return user, access.session_principal(user, request._request.session.session_key or "")


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "`manage.py token USER`, or POST /api/v1/tokens"}


class SessionScheme(OpenApiAuthenticationExtension):
    target_class = SessionAuthentication
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": "With X-CSRFToken to write"}
