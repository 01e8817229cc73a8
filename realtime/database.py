"""The ORM never runs in the event loop, nor in Django's one shared thread: sockets have threads of their own for it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

P = ParamSpec("P")
R = TypeVar("R")

THREADS = 4


async def in_database(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """`work` in one of the sockets' threads, which closes connections that are old or broken, before and after."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), functools.partial(_unit, work, *args, **kwargs))


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="sockets")


def _unit(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    close_old_connections()
    try:
        return work(*args, **kwargs)
    finally:
        close_old_connections()
