"""Batches leave together, the first after a pause at once."""

from __future__ import annotations

import asyncio

from realtime import pulse
from realtime.pulse import Pulse


class Connection:
    def __init__(self) -> None:
        self.flushed = asyncio.Event()
        self.times = 0

    def flush(self) -> None:
        self.times += 1
        self.flushed.set()


async def test_the_first_comes_at_once_and_the_others_with_the_next_beat(monkeypatch, settle):
    monkeypatch.setattr(pulse, "BATCH_S", 3600.0)
    beats, (first, second) = Pulse(), (Connection(), Connection())
    beats.join(first)
    beats.join(first)
    assert first.times == 0
    await settle()
    assert first.times == 1
    beats.join(first)
    beats.join(second)
    await settle()
    assert (first.times, second.times) == (1, 0)


async def test_all_are_flushed_by_one_beat(monkeypatch):
    monkeypatch.setattr(pulse, "BATCH_S", 0.02)
    beats, connections = Pulse(), [Connection() for _ in range(3)]
    for _ in range(2):
        for connection in connections:
            beats.join(connection)
        await connections[0].flushed.wait()
        assert len({connection.times for connection in connections}) == 1
        connections[0].flushed.clear()
    assert connections[0].times == 2
