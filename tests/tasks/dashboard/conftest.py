"""Readers of the pages: alice, who may everything, and bob, who may nothing special; and a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from playwright.sync_api import sync_playwright

from tests.services import missing
from tests.tasks.dashboard.stream import Stream

FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def operator(alice):
    alice.user_permissions.add(*Permission.objects.filter(content_type__app_label="tasks"))
    return type(alice).objects.get(pk=alice.pk)


@pytest.fixture
def browser(operator):
    """The operator's."""
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def bobs_browser(bob):
    client = Client()
    client.force_login(bob)
    return client


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """For one module: as long as it is there Playwright's event loop runs in this thread, and Django minds that."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        missing("Chromium")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, transactional_db, live_server, operator):
    """The operator's browser tab, 1440 pixels wide, not yet anywhere."""
    client = Client()
    client.force_login(operator)
    context = chromium.new_context(base_url=live_server.url, viewport={"width": 1440, "height": 900})
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
    yield context.new_page()
    context.close()


@pytest.fixture
def stream(page):
    return Stream(page)
