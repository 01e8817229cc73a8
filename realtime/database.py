"""The ORM never runs in the event loop, nor in Django's one shared thread: sockets have threads of their own for it.

Each thread keeps its connection as long as there are sockets: to open one costs more than most of what is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import connections

P = ParamSpec("P")
R = TypeVar("R")

THREADS = 4
PATIENCE_S = 5.0


async def in_database(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """`work` in one of the sockets' threads, with a connection that was alive a moment ago."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), functools.partial(_unit, work, *args, **kwargs))


def give_back() -> list[Future[None]]:
    """Close the connections, since there is nobody left to ask for. Returns at once."""
    together = threading.Barrier(THREADS)  # so that each thread gets one of the calls
    return [_threads().submit(_close, together) for _ in range(THREADS)]


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="sockets")


def _unit(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    for database in connections.all(initialized_only=True):
        if database.connection is not None and not database.is_usable():
            database.close()
    return work(*args, **kwargs)


def _close(together: threading.Barrier) -> None:
    with contextlib.suppress(threading.BrokenBarrierError):
        together.wait(PATIENCE_S)
    connections.close_all()
