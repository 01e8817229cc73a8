"""A real hub for the clients, and a gate before it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gate import Gate
from tests.hub import Hub


@pytest.fixture(scope="module")
def hub(tmp_path_factory) -> Iterator[Hub]:
    hub = Hub(tmp_path_factory.mktemp("hub"))
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture
def gate(hub) -> Iterator[Gate]:
    gate = Gate(hub.port)
    yield gate
    gate.close()


@pytest.fixture
def url(gate) -> str:
    """The hub's address, behind the gate."""
    return gate.open()
