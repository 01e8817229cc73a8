"""A browser for the JavaScript client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.tasks.dashboard.conftest import chromium  # noqa: F401 - a fixture


@pytest.fixture
def page(chromium, url) -> Iterator[Page]:  # noqa: F811
    """A tab that has not been anywhere, on the hub behind the gate."""
    context = chromium.new_context(base_url=url)
    yield context.new_page()
    context.close()
