"""Ways to send. That servers are recognised, and take what goes straight onto the wire, is held by test_servers."""

from __future__ import annotations

from realtime.transports import Transport, transport


async def test_under_an_unknown_server_everything_goes_by_asgi():
    sent = []

    async def send(message):
        sent.append(message)

    unknown = transport(send)
    assert type(unknown) is Transport
    assert not unknown.push(b"a")
    await unknown.text("b")
    await unknown.close(4408)
    assert sent == [{"type": "websocket.send", "text": "b"}, {"type": "websocket.close", "code": 4408}]
