"""The `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header-07), at the door."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from django.db.models import Model
from rest_framework.request import Request

from tasks import idempotency
from tasks.exceptions import Conflict, FieldError, InvalidTask
from tasks.models import Task

QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')  # a string of RFC 9651
BARE = re.compile(r"[!-~]{1,255}")
M = TypeVar("M", bound=Model)


def once(
    request: Request,
    create: Callable[[], list[M]],
    kind: type[M] = Task,  # type: ignore[assignment]
) -> tuple[list[M], bool]:
    """The rows of that kind, and whether this request created them.

    A key belongs to a user and a route, and is kept for a day.
    """
    key = key_of(request)
    if key is None:
        return create(), True
    assert request.resolver_match is not None  # a view runs because its address was resolved
    route = f"{request.method} {request.resolver_match.route}"
    created, is_first = idempotency.once(f"user:{request.user.pk}", route, key, request.data, create, kind)
    if not created:
        raise Conflict("What the first request with this Idempotency-Key created has been deleted since.")
    return created, is_first


def key_of(request: Request) -> str | None:
    """The key, without its quotes when it is written as a structured string. None when there is none."""
    header = request.headers.get("Idempotency-Key")
    if header is None:
        return None
    header = header.strip()
    quoted = QUOTED.fullmatch(header)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else header
    if not BARE.fullmatch(key) or (header.startswith('"') and not quoted):
        raise InvalidTask(FieldError("Idempotency-Key", "Give 1 to 255 visible ASCII characters, quoted or not."))
    return key
