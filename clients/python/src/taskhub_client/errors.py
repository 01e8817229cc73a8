"""What can go wrong. Everything raised on purpose is a `TaskHubError`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple


class TaskHubError(Exception):
    """The hub refused, or could not be reached. `retry_after`: in how many seconds it wants to be asked again."""

    retry_after: float | None = None


class WaitTimeout(TaskHubError, TimeoutError):
    """What was waited for has not come in time; it may still come."""


class Unavailable(TaskHubError):
    """The hub could not be reached, or said that it cannot work now, as often as it was tried.

    Whether a request that was no mere question has been carried out is then unknown. A submission can be repeated with
    the same idempotency key.
    """


class FieldError(NamedTuple):
    """`field` is a path such as `payload.month`; empty for the request as a whole."""

    field: str
    message: str


class APIError(TaskHubError):
    """The hub's answer was an error. `errors` names the fields of invalid input.

    `subscription` is set when a stream was refused that one alone.
    """

    subscription: Mapping[str, Any] | None = None

    def __init__(self, status: int, detail: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__("; ".join([detail, *(f"{field}: {message}" for field, message in errors)]))
        self.status = status
        self.detail = detail
        self.errors = errors


class InvalidRequest(APIError):
    """What was sent is wrong; `errors` says where."""


class Unauthenticated(APIError):
    """The token is unknown, expired or revoked."""


class Forbidden(APIError):
    """The token's scopes or its user's permissions do not allow it."""


class NotFound(APIError):
    """There is no such thing, or none that the token may see."""


class Conflict(APIError):
    """The state of the task or pipeline does not allow it."""


class RateLimited(APIError):
    """Too many requests, still after waiting as the hub asked for."""


KINDS: dict[int, type[APIError]] = {
    400: InvalidRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: InvalidRequest,
    415: InvalidRequest,
    422: InvalidRequest,
    429: RateLimited,
}
FINAL_CODES = {4400: 400, 4401: 401, 4403: 403, 4404: 404}  # close codes after which another try cannot help


def of_answer(status: int, body: bytes, retry_after: float | None) -> TaskHubError:
    """The exception for an answer that is no success."""
    problem = _problem(body)
    detail = str(problem.get("detail") or problem.get("title") or f"The hub answered {status}.")
    given = [error for error in problem.get("errors", []) if isinstance(error, Mapping)]
    fields = tuple(FieldError(str(error.get("field", "")), str(error.get("message", ""))) for error in given)
    kind = KINDS.get(status, APIError)
    found = Unavailable(detail) if status >= 500 else kind(status, detail, fields)
    found.retry_after = retry_after
    return found


def of_close(code: int) -> APIError:
    """The exception for a socket that was closed for good."""
    status = FINAL_CODES[code]
    return KINDS[status](status, f"The hub has closed the stream with {code}.")


def _problem(body: bytes) -> Mapping[str, Any]:
    try:
        problem = json.loads(body)
    except ValueError:  # a proxy's page
        return {}
    return problem if isinstance(problem, Mapping) else {}
