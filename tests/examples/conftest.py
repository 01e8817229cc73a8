"""A hub that has the examples, as a user runs it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hub import Hub


@pytest.fixture(scope="module")
def hub(tmp_path_factory) -> Iterator[Hub]:
    hub = Hub(tmp_path_factory.mktemp("hub"), TASKHUB_APPS="demo,tests.app,examples")
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture
def environment(hub, monkeypatch) -> None:
    """What the examples ask their environment for."""
    monkeypatch.setenv("TASKHUB_URL", f"http://127.0.0.1:{hub.port}")
    monkeypatch.setenv("TASKHUB_TOKEN", hub.token)
