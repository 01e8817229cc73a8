"""Work that must never fall silent: it is run again after whatever ends it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from django.db import DatabaseError, InterfaceError
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

OUTAGES = (DatabaseError, InterfaceError, RedisError, OSError, TimeoutError)
SHORTEST_S, LONGEST_S = 0.1, 5.0
STEADY_S = 10.0  # work that went on for so long starts afresh with the shortest pause


async def persistently(work: Callable[[], Awaitable[None]], what: str) -> None:
    """Run `work` until this is canceled, after a failure again with growing pauses."""
    loop = asyncio.get_running_loop()
    pause = SHORTEST_S
    while True:
        started = loop.time()
        try:
            await work()
        except OUTAGES as error:
            log.warning("%s waits for a service: %s", what, str(error).strip() or type(error).__name__)
        except Exception:
            log.exception("%s failed and starts again.", what)
        pause = SHORTEST_S if loop.time() - started > STEADY_S else min(LONGEST_S, pause * 2)
        await asyncio.sleep(pause)
