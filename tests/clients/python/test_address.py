"""Where the hub's doors are."""

from __future__ import annotations

import pytest

from taskhub_client.address import Address


@pytest.mark.parametrize(
    ("url", "rest", "stream"),
    [
        ("http://localhost:8000", "http://localhost:8000/api/v1", "ws://localhost:8000/api/v1/stream"),
        ("https://hub.example.com/", "https://hub.example.com/api/v1", "wss://hub.example.com/api/v1/stream"),
        ("https://example.com/hub", "https://example.com/hub/api/v1", "wss://example.com/hub/api/v1/stream"),
    ],
)
def test_the_doors(url, rest, stream):
    address = Address(url, "th_secret")
    assert (address.rest, address.stream) == (rest, stream)


def test_the_token_is_sent_and_never_shown():
    address = Address("http://localhost:8000", "th_secret")
    assert address.headers["Authorization"] == "Bearer th_secret"
    assert "th_secret" not in repr(address)


def test_an_address_has_a_scheme():
    with pytest.raises(ValueError, match="http://"):
        Address("localhost:8000", "x")
