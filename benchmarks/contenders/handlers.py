"""TaskHub's handlers for the benchmarks (an app, by `TASKHUB_APPS=benchmarks.contenders`)."""

from __future__ import annotations

import hashlib
import os
import time

from benchmarks import contenders
from benchmarks.contenders import increment, stamp
from tasks import handler
from tasks.signals import log_written, task_logged

MILLISECOND = 0.001

if os.environ.get("BENCHMARK_STREAM") == "off":  # nobody is told of anything that happens here
    for signal in (log_written, task_logged):
        signal.disconnect(dispatch_uid="realtime.announce")


@handler("benchmark.increment")
def work(ctx) -> None:
    increment()


@handler("benchmark.compute")
def compute(ctx, seconds: float, reports: bool) -> dict:
    """Compute for so long, saying how far it is after each millisecond, or nothing. How much of both was done."""
    pieces = calls = 0
    block = bytes(4096)
    began = time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        block = hashlib.sha256(block).digest() * 128
        pieces += 1
        if reports and elapsed >= calls * MILLISECOND:
            calls += 1
            ctx.progress(100 * elapsed / seconds, f"piece {pieces}")
    if reports:
        ctx.progress(100, "the last word")
    return {"pieces": pieces, "calls": calls}


@handler("benchmark.stamp")
def mark(ctx) -> None:
    stamp()


@handler("benchmark.witness")
def witness(ctx, name: str, seconds: float = 0, is_poison: bool = False) -> None:
    contenders.witness(name, seconds, is_poison)
