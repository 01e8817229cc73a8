"""TaskHub's handlers for the benchmarks (an app, by `TASKHUB_APPS=benchmarks.contenders`)."""

from __future__ import annotations

from benchmarks.contenders import increment
from tasks import handler


@handler("benchmark.increment")
def work(ctx) -> None:
    increment()
