"""One callback: the request that is sent. The engine gets its `Sender`, `Callback`, `Answer` and `Verdict` from here.

A `Sender` belongs to one event loop and carries hundreds of requests at once. What a receiver can do to it is
bounded: the time of the whole exchange, 64 KiB of the body, the number and size of headers; nothing is decompressed.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp

from tasks.callbacks.answer import Answer, Received, Verdict, explain
from tasks.callbacks.connector import GuardedConnector
from tasks.callbacks.guard import AddressPolicy, InvalidUrl, check_headers, parse_url
from tasks.callbacks.signature import sign

__all__ = ["Answer", "Callback", "Sender", "Verdict"]

CONNECT_TIMEOUT = 3.0  # seconds for TCP and TLS with one address
KEEP_ALIVE = 1.0  # seconds: less than servers', so that no connection is reused while its server closes it


@dataclass(frozen=True, kw_only=True)
class Callback:
    """A request to be made. `timeout` is for the whole exchange, in seconds of wall clock."""

    task_id: str
    url: str = field(repr=False)
    payload: Mapping[str, Any] = field(repr=False)
    secrets: Sequence[str] = field(repr=False)  # `whsec_...`, each signs
    attempt: int
    attempt_token: str = field(repr=False)
    task_url: str
    timeout: float
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Sender:
    """Sends callbacks over connections of its own: `async with Sender(policy, user_agent) as sender`."""

    def __init__(self, policy: AddressPolicy, user_agent: str) -> None:
        self._policy = policy
        self._user_agent = user_agent

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=GuardedConnector(self._policy, limit=0, keepalive_timeout=KEEP_ALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"user-agent": self._user_agent, "accept-encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
            auto_decompress=False,
            trust_env=False,
            middlewares=[_send_once],
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    async def send(self, callback: Callback) -> Answer:
        """Make the request. Whatever happens is an answer; only `asyncio.CancelledError` passes."""
        began = time.monotonic()
        received = Received(_host(callback.url))
        trouble = None
        try:
            async with asyncio.timeout(callback.timeout):
                await self._exchange(callback, received)
        except Exception as problem:
            trouble = explain(problem, received.host, callback.timeout)
        return received.answer(trouble, time.monotonic() - began)

    async def _exchange(self, callback: Callback, received: Received) -> None:
        self._policy.check_url(callback.url)
        check_headers(callback.headers)
        body = json.dumps(callback.payload, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        async with self._session.request(
            callback.method,
            parse_url(callback.url),
            data=body,
            headers=_headers(callback, body),
            allow_redirects=False,
        ) as response:
            await received.read(response)


def _headers(callback: Callback, body: bytes) -> dict[str, str]:
    timestamp = int(time.time())
    return {
        **callback.headers,
        "content-type": "application/json",
        "webhook-id": callback.task_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(" ".join(callback.secrets), callback.task_id, timestamp, body),
        "taskhub-attempt": str(callback.attempt),
        "taskhub-task-url": callback.task_url,
        "taskhub-attempt-token": callback.attempt_token,
    }


class Interrupted(aiohttp.ClientError):
    """The connection ended before an answer came."""


async def _send_once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """An attempt is one request. aiohttp would send an interrupted PUT once more, so it must not see what happened."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise Interrupted from error


def _host(url: str) -> str:
    """The subject of our sentences."""
    try:
        return parse_url(url).raw_host or ""
    except InvalidUrl:
        return "The receiver"
