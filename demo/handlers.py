"""Handlers as users write them: a quick one, a long one, one that fails at first, and one that always fails."""

from __future__ import annotations

import time

from tasks import PermanentError, handler


@handler("demo.hello")
def hello(ctx, name: str = "world") -> dict:
    """Greet somebody, at once."""
    return {"greeting": f"Hello, {name}!"}


@handler("demo.report", queue="reports", timeout=120)
def report(ctx, month: str = "2026-11", pages: int = 20, seconds_per_page: float = 1.0) -> dict:
    """Build a report page by page. Paused, canceled or interrupted, it goes on at the page where it stopped."""
    for page in range(ctx.state.get("pages", 0) + 1, pages + 1):
        time.sleep(seconds_per_page)  # the work
        ctx.state["pages"] = page
        ctx.progress(100 * page / pages, f"page {page} of {pages}")
        ctx.checkpoint()
    ctx.log(f"The report for {month} has {pages} pages.")
    return {"month": month, "pages": pages}


@handler("demo.flaky", max_attempts=5)
def flaky(ctx, succeeds_at: int = 3) -> dict:
    """Fail until the third attempt, as a service does that is down for a moment."""
    if ctx.attempt < succeeds_at:
        raise ConnectionError(f"The service hung up on attempt {ctx.attempt}.")
    return {"attempts": ctx.attempt}


@handler("demo.broken")
def broken(ctx) -> None:
    """Fail in a way that no further attempt can mend: straight to the dead letters."""
    raise PermanentError("The account has been closed.")
