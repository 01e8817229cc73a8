"""Events as the bytes that go onto the wire, made once for all the sockets that are sent the same ones. Pure."""

from __future__ import annotations

import functools

from realtime import messages
from realtime.ring import Entry


def frame(text: str) -> bytes:
    """The text as one unmasked frame (RFC 6455, 5.2)."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return bytes([0x81, size]) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


@functools.lru_cache(maxsize=8)
def frames(entries: tuple[Entry, ...]) -> bytes:
    """One frame for each."""
    return b"".join(frame(entry.text) for entry in entries)


@functools.lru_cache(maxsize=8)
def batch(entries: tuple[Entry, ...]) -> bytes:
    """One frame for all."""
    return frame(messages.batch(entry.text for entry in entries))
