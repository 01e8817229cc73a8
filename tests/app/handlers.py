"""Handlers for the tests: one for each way in which an attempt can end."""

from __future__ import annotations

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
