"""Connecting, but only to addresses that the policy allows. Only `request` imports this.

The policy is asked about every address in the one answer that DNS gives, and about the address of each socket before
it is opened: literal addresses never pass a resolver. The address that was checked is the one that is used, so there
is no second lookup that could say something else.

A name that leads to a forbidden address is an ordinary failure of that attempt, not a permanent one: DNS may be
mended, or an operator may allow the address.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from tasks.callbacks.guard import AddressPolicy, ForbiddenAddress

LOOKUPS = 64  # at once: a thread each, since a name server can hold one for half a minute
RECEIVE_BUFFER = 64 * 1024  # bytes: all that is kept of an answer, and so the most that a flood puts before us at once

logger = logging.getLogger(__name__)


class GuardedConnector(aiohttp.TCPConnector):
    """Opens connections to allowed addresses only; others end in a `ClientConnectorError` from `ForbiddenAddress`."""

    def __init__(self, policy: AddressPolicy, **options: Any) -> None:
        self._lookups = GuardedResolver(policy)
        super().__init__(resolver=self._lookups, socket_factory=partial(_open_socket, policy), **options)

    async def close(self, *, abort_ssl: bool = False) -> None:
        await super().close(abort_ssl=abort_ssl)
        await self._lookups.close()


class GuardedResolver(AbstractResolver):
    """The system's resolver. One forbidden address among the answers refuses the whole name."""

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="callback-lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        lookup = partial(
            socket.getaddrinfo, host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        answers = await asyncio.get_running_loop().run_in_executor(self._threads, lookup)
        for *_, address in answers:
            _check_address(self._policy, address, host)
        return [
            ResolveResult(
                hostname=host, host=str(address[0]), port=port, family=family, proto=proto, flags=socket.AI_NUMERICHOST
            )
            for family, _, proto, _, address in answers
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _open_socket(policy: AddressPolicy, info: aiohttp.AddrInfoType) -> socket.socket:
    """Called for every connection, those to literal addresses too, with the address that is connected to."""
    family, kind, proto, _, address = info
    _check_address(policy, address, address[0])
    opened = socket.socket(family, kind, proto)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    return opened


def _check_address(policy: AddressPolicy, address: tuple[Any, ...], host: str) -> None:
    ip, port, *scope = address  # IPv6: flow and scope id, which no allowed address has
    if any(scope) or not policy.allows(ip, port):
        logger.warning("Refused a callback to %s: %s port %s is not allowed.", host, ip, port)
        raise ForbiddenAddress(
            f"{host} leads to a private or reserved address that TASKHUB_CALLBACK_ALLOW does not list."
        )
