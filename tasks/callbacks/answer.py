"""What came back from a receiver, and what it means for the attempt. Only `request` makes these.

Everything here is bounded, and such that both databases take it: texts, headers, and the result.
"""

from __future__ import annotations

import json
import logging
import os
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from http import HTTPStatus
from typing import Any

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy

from tasks.callbacks.guard import ForbiddenAddress, ForbiddenUrl
from tasks.documents import check_document
from tasks.errors import storable
from tasks.exceptions import InvalidTask

BODY_LIMIT = 64 * 1024  # bytes
HEADER_LIMIT = 500  # characters
RETRY_AFTER_LIMIT = 24 * 3600.0  # seconds

KEPT_HEADERS = (
    "allow",
    "cf-ray",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "location",
    "retry-after",
    "server",
    "taskhub-defer",
    "traceparent",
    "via",
    "x-amzn-requestid",
    "x-correlation-id",
    "x-request-id",
)

logger = logging.getLogger(__name__)


class Verdict(Enum):
    """What an answer means for the attempt."""

    COMPLETED = "completed"  # 2xx, whole
    DEFERRED = "deferred"  # 202 with `taskhub-defer: 1`: the result will be sent to `task_url`
    GONE = "gone"  # 410: never ask again
    FAILED = "failed"  # every other answer, and none


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of it. Texts and `result` are such that every database takes them."""

    outcome: Verdict
    status: int | None  # None: no answer
    headers: dict[str, str]  # those of KEPT_HEADERS, in lower case
    body: str  # the first 64 KiB; what is not UTF-8 is replaced
    truncated: bool
    result: Any  # the JSON of a completed answer; None if it is none, or not whole
    error: dict[str, str] | None  # {type, detail}, None when completed or deferred
    retry_after: float | None  # seconds, of 429 and 503
    elapsed: float  # seconds


@dataclass
class Received:
    """What has arrived of an answer so far."""

    host: str
    status: int | None = None
    headers: CIMultiDictProxy[str] = field(default_factory=lambda: CIMultiDictProxy(CIMultiDict()))
    body: bytearray = field(default_factory=bytearray)
    truncated: bool = False

    async def read(self, response: aiohttp.ClientResponse) -> None:
        """Take all of a response, or its first 64 KiB and then hang up."""
        self.status, self.headers = response.status, response.headers
        while chunk := await response.content.readany():
            self.body += chunk
            if len(self.body) > BODY_LIMIT:
                del self.body[BODY_LIMIT:]
                self.truncated = True
                response.close()
                return

    def answer(self, trouble: dict[str, str] | None, elapsed: float) -> Answer:
        """What it comes to. A 2xx that did not arrive whole is no answer; any other status speaks for itself."""
        verdict, error = self._verdict(), trouble
        if verdict in (Verdict.COMPLETED, Verdict.DEFERRED):
            verdict = Verdict.FAILED if trouble else verdict
        elif self.status is not None:
            error = _error("CallbackStatus", f"{self.host} answered {_phrase(self.status)}.")
        return Answer(
            outcome=verdict,
            status=self.status,
            headers=self._kept_headers(),
            body=self.body.decode(errors="replace").replace("\0", ""),
            truncated=self.truncated,
            result=self._result() if verdict is Verdict.COMPLETED else None,
            error=error,
            retry_after=self._retry_after(),
            elapsed=elapsed,
        )

    def _verdict(self) -> Verdict:
        if self.status == HTTPStatus.ACCEPTED and self.headers.get("taskhub-defer", "").strip() == "1":
            return Verdict.DEFERRED
        if self.status is not None and 200 <= self.status < 300:
            return Verdict.COMPLETED
        return Verdict.GONE if self.status == HTTPStatus.GONE else Verdict.FAILED

    def _kept_headers(self) -> dict[str, str]:
        kept = (name for name in KEPT_HEADERS if name in self.headers)
        return {name: storable(", ".join(self.headers.getall(name)))[:HEADER_LIMIT] for name in kept}

    def _result(self) -> Any:
        """The body's JSON; None for what is none, or could not be stored as a task's result."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self.truncated or not (kind == "application/json" or kind.endswith("+json")):
            return None
        try:
            value = json.loads(self.body)
            check_document(value)
        except (ValueError, RecursionError, InvalidTask):
            return None
        return value

    def _retry_after(self) -> float | None:
        value = self.headers.get("retry-after", "").strip()
        if self.status not in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            return None
        seconds = float(value) if value.isascii() and value.isdigit() else _seconds_until(value)
        return None if seconds is None or seconds < 0 else min(seconds, RETRY_AFTER_LIMIT)


def _seconds_until(date: str) -> float | None:
    """From now until an HTTP date; None if it is none."""
    try:
        moment = parsedate_to_datetime(date)
        return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, OverflowError):
        return None


def _phrase(status: int) -> str:
    """The status with the phrase of the standards: what the receiver wrote there is not ours to repeat."""
    return f"{status} {HTTPStatus(status).phrase}" if status in HTTPStatus._value2member_map_ else str(status)


def explain(problem: Exception, host: str, timeout: float) -> dict[str, str]:
    """`{type, detail}` of an exchange that broke. Details name no resolved address and quote nothing received."""
    match problem:
        case ForbiddenUrl():
            return _error("CallbackForbidden", str(problem))
        case aiohttp.ClientConnectorError(os_error=ForbiddenAddress() as refusal):
            return _error("CallbackForbidden", str(refusal))
        case aiohttp.ConnectionTimeoutError():
            return _error("CallbackTimeout", f"{host} did not accept a connection in time.")
        case TimeoutError():
            return _error("CallbackTimeout", f"{host} gave no complete answer within {timeout:g} s.")
        case aiohttp.ClientConnectorDNSError():
            return _error("CallbackConnection", f"{host} could not be resolved.")
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError() as flaw):
            return _error("CallbackTLS", f"{host} has a certificate that is not trusted: {flaw.verify_message}.")
        case aiohttp.ClientSSLError(os_error=ssl.SSLError() as flaw):
            return _error("CallbackTLS", f"{host} and TaskHub could not agree on TLS: {flaw.reason or 'broken off'}.")
        case aiohttp.ClientConnectorError():
            reason = os.strerror(problem.errno) if problem.errno else "none of its addresses answered"
            return _error("CallbackConnection", f"{host} could not be connected to: {reason}.")
        case aiohttp.ClientResponseError():
            return _error(
                "CallbackProtocol", f"{host} answered what is not HTTP, or with too many or too long headers."
            )
        case aiohttp.ClientError() | OSError():
            return _error("CallbackConnection", f"{host} closed the connection before its answer was complete.")
        case ValueError() | TypeError():
            return _error("CallbackInvalid", str(problem))
    logger.error("A callback to %s failed in a way that is not foreseen.", host, exc_info=problem)
    return _error("CallbackError", f"The request failed: {type(problem).__name__}.")


def _error(kind: str, detail: str) -> dict[str, str]:
    return {"type": kind, "detail": detail}
