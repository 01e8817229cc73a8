"""Handlers that write down, outside the database, that they run: `began` before their work and `end` after it."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from tasks import Snooze, handler


def _write(**line: object) -> None:
    if path := os.environ.get("CHAOS_EFFECTS"):
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.write(file, json.dumps(line | {"at": time.clock_gettime(time.CLOCK_MONOTONIC)}).encode() + b"\n")
        os.close(file)


@contextmanager
def witnessed(ctx) -> Iterator[dict[str, str]]:
    """Gives the result by which the run can be told from every other."""
    run = uuid.uuid4().hex
    about = {"task": ctx.task_id, "attempt": ctx.attempt, "number": ctx._number, "run": run, "pid": os.getpid()}
    _write(what="begin", **about)
    yield {"run": run}
    _write(what="end", **about)


@handler("chaos.work", timeout=60)
def work(ctx, seconds: float = 0) -> dict:
    """Plain work, without a checkpoint."""
    with witnessed(ctx) as result:
        if seconds:
            time.sleep(seconds)
        return result


@handler("chaos.steps", timeout=60)
def steps(ctx, count: int = 100, pause: float = 0.05) -> dict:
    """Work with checkpoints, which goes on where it was left."""
    with witnessed(ctx) as result:
        for done in range(ctx.state.get("done", 0), count):
            ctx.state["done"] = done + 1
            ctx.progress(100 * done / count, f"step {done}")
            ctx.checkpoint()
            time.sleep(pause)
        return result


@handler("chaos.async", timeout=60)
async def asynchronous(ctx, seconds: float = 0) -> dict:
    with witnessed(ctx) as result:
        await asyncio.sleep(seconds)
        return result


@handler("chaos.die", timeout=60)
def die(ctx, seconds: float = 0) -> None:
    """Poison."""
    with witnessed(ctx):
        time.sleep(seconds)
        os._exit(9)


@handler("chaos.async_die", timeout=60)
async def async_die(ctx, seconds: float = 0) -> None:
    with witnessed(ctx):
        await asyncio.sleep(seconds)
        os._exit(9)


@handler("chaos.fail", timeout=60)
def fail(ctx, times: int = 1) -> dict:
    """Fails its first `times` attempts."""
    with witnessed(ctx) as result:
        if ctx.attempt <= times:
            raise RuntimeError(f"attempt {ctx.attempt} fails")
        return result


@handler("chaos.snooze", timeout=60)
def snooze(ctx, seconds: float = 0.1) -> dict:
    """Snoozes once."""
    with witnessed(ctx) as result:
        if not ctx.state:
            ctx.state["snoozed"] = True
            raise Snooze(seconds)
        return result


@handler("chaos.hang", timeout=1, max_attempts=1)
def hang(ctx) -> None:
    """Python that never returns."""
    with witnessed(ctx):
        while True:
            time.sleep(60)


@handler("chaos.stubborn", timeout=1, max_attempts=1)
def stubborn(ctx) -> None:
    """Python that swallows every exception."""
    with witnessed(ctx):
        while True:
            try:
                time.sleep(0.05)
            except BaseException:
                continue


@handler("chaos.async_hang", timeout=1, max_attempts=1)
async def async_hang(ctx) -> None:
    with witnessed(ctx):
        await asyncio.sleep(3600)


@handler("chaos.async_block", timeout=1, max_attempts=3)
async def async_block(ctx) -> None:
    """An async handler that never gives the event loop back."""
    with witnessed(ctx):
        while True:
            time.sleep(60)


@handler("chaos.query", timeout=1, max_attempts=1)
def query(ctx) -> None:
    """Waits in the database's driver."""
    with witnessed(ctx), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_sleep(3600)")
        else:
            cursor.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")


@handler("chaos.c", timeout=1, max_attempts=1)
def in_c(ctx) -> None:
    """C code that holds the interpreter and never returns, from its first moment."""
    with witnessed(ctx):
        ctypes.PyDLL(None).sleep(3600)


@handler("chaos.regex", timeout=1, max_attempts=1)
def regex(ctx) -> None:
    """A regular expression that takes longer than the universe has existed."""
    with witnessed(ctx):
        re.match(r"(a+)+$", "a" * 64 + "b")
