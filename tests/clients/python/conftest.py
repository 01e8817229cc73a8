"""The client under test, behind a gate."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taskhub_client import Client


@pytest.fixture
def client(hub, url) -> Iterator[Client]:
    with Client(url, hub.token) as client:
        yield client
