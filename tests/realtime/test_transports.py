"""Frames as they go onto the wire. That servers take them, and are recognised, is held by test_servers."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from realtime.transports import Transport, on_the_wire, transport


@pytest.mark.parametrize("text", ["", "é" * 62, "x" * 125, "x" * 126, "x" * 65_535, "ü" * 40_000])
def test_a_frame_is_what_the_protocol_asks_for(text):
    assert on_the_wire(text) == Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


async def test_under_an_unknown_server_everything_goes_by_asgi():
    sent = []

    async def send(message):
        sent.append(message)

    unknown = transport(send)
    assert type(unknown) is Transport
    assert not unknown.push("a")
    await unknown.text("b")
    await unknown.close(4408)
    assert sent == [{"type": "websocket.send", "text": "b"}, {"type": "websocket.close", "code": 4408}]
