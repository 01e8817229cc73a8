"""Work that fails is run again, and only a cancellation ends it."""

from __future__ import annotations

import asyncio

import pytest
from django.db import OperationalError

from realtime import persistence
from realtime.persistence import persistently


@pytest.mark.parametrize("failure", [OperationalError("gone"), ConnectionError("refused"), ValueError("a mistake")])
async def test_it_goes_on_after_a_failure(failure, caplog, monkeypatch):
    monkeypatch.setattr(persistence, "SHORTEST_S", 0.001)
    monkeypatch.setattr(persistence, "LONGEST_S", 0.002)
    runs, enough = [], asyncio.Event()

    async def work() -> None:
        runs.append(None)
        if len(runs) == 4:
            enough.set()
        raise failure

    task = asyncio.create_task(persistently(work, "The test"))
    await asyncio.wait_for(enough.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "The test" in caplog.text
    assert ("Traceback" in caplog.text) == isinstance(failure, ValueError)
