"""Frames as they go onto the wire, and how many are made."""

from __future__ import annotations

import json

import pytest
from websockets.frames import Frame, Opcode

from realtime import wire
from tests.realtime.entries import entry, unframed


@pytest.mark.parametrize("text", ["", "é" * 62, "x" * 125, "x" * 126, "x" * 65_535, "ü" * 40_000])
def test_a_frame_is_what_the_protocol_asks_for(text):
    assert wire.frame(text) == Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


def test_each_event_has_its_own_frame_or_all_have_one():
    entries = (entry(1, text='{"x":"é"}'), entry(2, text='{"x":"' + "y" * 70_000 + '"}'), entry(3))
    texts = [each.text for each in entries]
    assert unframed(wire.frames(entries)) == texts
    (batch,) = unframed(wire.batch(entries))
    assert json.loads(batch) == {"type": "batch", "events": [json.loads(text) for text in texts]}


def test_who_is_sent_the_same_events_shares_their_bytes():
    first, second = entry(1), entry(2)
    for made in (wire.frames, wire.batch):
        assert made((first, second)) is made((first, second))
        assert made((first, entry(2))) is not made((first, second))
