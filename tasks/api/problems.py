"""Every error of the API as `application/problem+json` (RFC 9457), in one place.

Views raise; what they raise gets its status here. What goes wrong outside of views (an unknown address, a forged host)
gets the same form from the middleware.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, NotRequired, TypedDict

import msgspec
from asgiref.sync import iscoroutinefunction
from django.core.exceptions import (
    BadRequest,
    ObjectDoesNotExist,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.utils.decorators import sync_and_async_middleware
from rest_framework import exceptions as rest
from rest_framework.response import Response

from tasks.callbacks.settlement import Unauthenticated
from tasks.errors import storable
from tasks.exceptions import BacklogFull, Conflict, FieldError, InvalidTask, KeyReused, StaleLease, TooLarge

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER = {429: "10", 503: "5"}  # seconds; of requests in a minute REST framework's own throttle says when
UNKNOWN = "There is nothing here, or nothing that you may see."

# What isn't among them and no error of REST framework's is our mistake: a 500, with the reason in the log only.
STATUS: list[tuple[type[Exception] | tuple[type[Exception], ...], int, str]] = [
    ((TooLarge, RequestDataTooBig), 413, "The request is too large."),
    (InvalidTask, 400, "The request is invalid; `errors` says where."),
    (Unauthenticated, 401, ""),
    ((Conflict, StaleLease), 409, ""),
    (KeyReused, 422, ""),
    (BacklogFull, 429, ""),
    ((Http404, ObjectDoesNotExist), 404, UNKNOWN),
    (PermissionDenied, 403, ""),
    ((MultiPartParserError, BadRequest, SuspiciousOperation, UnreadablePostError), 400, "The request cannot be read."),
    ((OperationalError, InterfaceError), 503, "The database cannot be reached. Try again shortly."),
]


class FieldProblem(TypedDict):
    """`field` is a path such as `tasks[3].payload.month`; empty for the request as a whole."""

    field: str
    message: str


class Problem(TypedDict):
    """What went wrong (RFC 9457). `type` is always `about:blank`: the status says it all."""

    type: str
    title: str
    status: int
    detail: str
    errors: NotRequired[list[FieldProblem]]


def problem(status: int, detail: str, errors: Iterable[FieldError] = ()) -> Problem:
    title = HTTPStatus(status).phrase
    body: Problem = {"type": "about:blank", "title": title, "status": status, "detail": storable(detail)}
    if fields := [FieldProblem(field=storable(error.field), message=storable(error.message)) for error in errors]:
        body["errors"] = fields
    return body


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """REST framework's hook: the answer to whatever a view has raised."""
    if isinstance(error, rest.APIException):
        return _answer(problem(error.status_code, _detail(error, context["request"])), _headers(error))
    for kinds, status, detail in STATUS:
        if isinstance(error, kinds):
            headers = {"Retry-After": RETRY_AFTER[status]} if status in RETRY_AFTER else {}
            return _answer(problem(status, detail or str(error), getattr(error, "errors", ())), headers)
    log.error("%s %s failed", context["request"].method, context["request"].path, exc_info=error)
    return _answer(problem(500, "Something went wrong here. It has been logged."), {})


def _answer(body: Problem, headers: dict[str, str]) -> Response:
    return Response(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


def _detail(error: rest.APIException, request: Any) -> str:
    if isinstance(error, rest.UnsupportedMediaType):
        return f"Send the body as application/json, not as {request.content_type or 'nothing that has a name'}."
    return str(error.detail)


def _headers(error: rest.APIException) -> dict[str, str]:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if (wait := getattr(error, "wait", None)) is not None:
        headers["Retry-After"] = str(wait)
    return headers


# -- outside of views ------------------------------------------------------------------------------------------------

DETAILS = {404: UNKNOWN, 400: "The request cannot be read."}


@sync_and_async_middleware
def middleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Puts errors below `/api/` that didn't come from a view of ours into the same form. The outermost of all."""
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponse:
            return _formed(request, await get_response(request))

        return answer_async

    def answer(request: HttpRequest) -> HttpResponse:
        return _formed(request, get_response(request))

    return answer


def _formed(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    status = response.status_code
    is_ours = not request.path.startswith("/api/") or status < 400 or response.get("Content-Type") == CONTENT_TYPE
    if is_ours:
        return response
    body = problem(status, DETAILS.get(status, HTTPStatus(status).description or HTTPStatus(status).phrase))
    response.content = msgspec.json.encode(body)
    response["Content-Type"], response["Content-Length"] = CONTENT_TYPE, str(len(response.content))
    return response
