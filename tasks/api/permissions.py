"""Closed by default: a view says what each of its methods needs, and whatever it does not name is refused."""

from __future__ import annotations

from rest_framework.exceptions import MethodNotAllowed, NotAuthenticated, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from tasks.access import SCOPE_OF, Principal

OPEN = "open"  # for everybody: health
SIGNED_IN = "signed in"  # for everybody with a name: the view decides when it knows about what


class Closed(BasePermission):
    """`view.needs` is {method: permission or scope}. A permission needs its scope besides."""

    def has_permission(self, request: Request, view) -> bool:
        method = "GET" if request.method == "HEAD" else request.method
        need = view.needs.get(method)
        if need == OPEN:
            return True
        if not isinstance(request.auth, Principal):
            raise NotAuthenticated("Sign in, or send a token: `Authorization: Bearer <token>`.")
        if need is None:
            raise MethodNotAllowed(request.method or "")
        if need != SIGNED_IN:
            demand(request.auth, need)
        return True


def demand(principal: Principal, need: str) -> None:
    """Raises `PermissionDenied` with what is missing. `need` is a permission's codename or a scope."""
    if need in SCOPE_OF:
        _demand_scope(principal, SCOPE_OF[need])
        if not principal.may(need):
            raise PermissionDenied(f"{principal.name} lacks the permission tasks.{need}.")
    else:
        _demand_scope(principal, need)


def _demand_scope(principal: Principal, scope: str) -> None:
    if not principal.has(scope):
        raise PermissionDenied(f"The token lacks the scope {scope}.")
