"""Each system check of the stream: what it finds, and that it is silent about what is right."""

from __future__ import annotations

import pytest
from channels.layers import channel_layers

from realtime import checks


@pytest.fixture(autouse=True)
def fresh_layers():
    """Channels keeps the layers that it has made."""
    channel_layers.backends = {}
    yield
    channel_layers.backends = {}


def found(check) -> list[str]:
    messages = list(check())
    assert all(message.hint for message in messages)
    return [message.id for message in messages]


@pytest.mark.parametrize(
    ("layers", "ids"),
    [
        ({"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}, []),
        ({}, ["realtime.E001"]),
        ({"other": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}, ["realtime.E001"]),
        ({"default": {"BACKEND": "channels.layers.NoSuchLayer"}}, ["realtime.E001"]),
        ({"default": {}}, ["realtime.E001"]),
    ],
)
def test_a_layer_that_cannot_be_made(settings, layers, ids):
    settings.CHANNEL_LAYERS = layers
    assert found(checks.check_layer) == ids


@pytest.mark.parametrize(
    ("version", "url", "ids"),
    [
        ("7.4.1", "redis://h", []),
        ("8.0.0", "redis://h", ["realtime.E002"]),
        ("10.1", "redis://h", ["realtime.E002"]),
        ("8.0.0", "", []),
    ],
)
def test_a_redis_client_that_ends_idle_consumers(monkeypatch, settings, version, url, ids):
    monkeypatch.setattr(checks, "version", lambda name: version)
    settings.REDIS_URL = url
    assert found(checks.check_redis) == ids
