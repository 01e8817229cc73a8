"""Handlers for the tests: one for each way in which an attempt can end."""

from __future__ import annotations

import logging
import os
import signal
import time

from tasks import PermanentError, Snooze, handler


@handler("test.echo")
def echo(ctx, value: str = "") -> dict:
    """Give back what it was given."""
    return {"value": value}


@handler("test.fail", max_attempts=3)
def fail(ctx, detail: str = "it broke") -> None:
    raise RuntimeError(detail)


@handler("test.permanent")
def permanent(ctx) -> None:
    raise PermanentError("no use in trying again")


@handler("test.snooze")
def snooze(ctx, seconds: float = 60) -> None:
    raise Snooze(seconds)


@handler("test.async")
async def asynchronous(ctx, value: str = "") -> dict:
    return {"value": value}


@handler("test.sleep")
def sleep(ctx, seconds: float = 1) -> None:
    """Work that takes its time, without a checkpoint."""
    time.sleep(seconds)


@handler("test.hang")
def hang(ctx) -> None:
    """Swallow every exception, for ever: only the end of the process helps."""
    while True:
        try:
            time.sleep(0.1)
        except BaseException:
            continue


@handler("test.die")
def die(ctx) -> None:
    """Take the worker's process along, as the kernel's memory killer would."""
    os.kill(os.getpid(), signal.SIGKILL)


@handler("test.steps")
def steps(ctx, count: int = 10, pause: float = 0.1) -> dict:
    """Work with progress, a log and checkpoints, which goes on where it was left."""
    for done in range(ctx.state.get("done", 0), count):
        ctx.progress(100 * done / count, f"step {done}")
        ctx.log(f"step {done}")
        time.sleep(pause)
        ctx.state["done"] = done + 1
        ctx.checkpoint()
    return {"steps": count}


@handler("test.leak", max_attempts=1)
def leak(ctx, password: str, fails: bool = True) -> None:
    """Say the secret wherever a handler can."""
    ctx.log(f"with {password}")
    logging.getLogger(__name__).warning("with %s", password)
    ctx.progress(50, f"with {password}")
    ctx.state["password"] = password
    ctx.checkpoint()
    if fails:
        raise RuntimeError(f"wrong password {password}")
