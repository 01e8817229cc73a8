"""Sockets outlive rights: tokens are revoked, sessions end, users lose permissions. The vigil notices.

An end of token, session or user is seen within two seconds, any other loss within a minute.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from realtime import auth, messages
from realtime.auth import Rights
from realtime.connection import Connection
from realtime.database import in_database
from tasks.access import Principal, still_valid

LOOK_S = 1.0
RENEWAL_S = 60.0


class Vigil:
    def __init__(self, connections: Collection[Connection]) -> None:
        self._connections = connections
        self._prints: dict[Principal, Any] = {}
        self._renewed_at: dict[Principal, float] = {}

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Renew the rights of those for whom something has changed, or who were not looked at for long."""
        holders = defaultdict(list)
        for connection in self._connections:
            holders[connection.principal].append(connection)
        if not holders:
            return
        prints = await in_database(auth.fingerprints, holders.keys())
        now = asyncio.get_running_loop().time()
        suspects = [
            who
            for who in holders
            if prints[who] != self._prints.get(who) or now - self._renewed_at.get(who, float("-inf")) > RENEWAL_S
        ]
        for who, renewed in (await in_database(_renewed, suspects)).items():
            for connection in holders[who]:
                _apply(connection, renewed)
        self._prints = prints
        self._renewed_at = {who: now if who in suspects else self._renewed_at[who] for who in holders}


def _renewed(principals: Iterable[Principal]) -> dict[Principal, tuple[Principal, Rights] | None]:
    return {who: (now, auth.rights(now)) if (now := still_valid(who)) else None for who in principals}


def _apply(connection: Connection, renewed: tuple[Principal, Rights] | None) -> None:
    if renewed is None:
        connection.close(messages.UNAUTHENTICATED)
    else:
        connection.renew(*renewed)
