"""The plain page in a real browser, with sockets and without."""

from __future__ import annotations

import re
import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.processes import PATIENCE
from tests.services import missing
from tests.tasks.dashboard.conftest import FLAGS

pytestmark = [pytest.mark.browser, pytest.mark.processes]
WITHOUT_SOCKETS = "window.WebSocket = class { constructor() { throw new Error('blocked'); } }"


@pytest.fixture(scope="module")
def signed_in(hub):
    """A browser whose user has used a sign-in link of the hub."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        missing("Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        context = browser.new_context(base_url=f"http://localhost:{hub.port}")
        context.set_default_timeout(PATIENCE * 1000)
        page = context.new_page()
        page.goto(re.search(r"http\S+/signin/\S+", hub.manage("signin-link", "admin"))[0])
        page.get_by_role("button").first.click()
        page.wait_for_url(re.compile(r"/$"))
        yield context
        browser.close()


@pytest.fixture
def page(signed_in):
    page = signed_in.new_page()
    yield page
    page.close()


def watch(page, hub, **task) -> None:
    page.goto(f"/static/examples/watch.html?task={hub.submit(**task)['id']}")


@pytest.mark.parametrize(("script", "state", "steps"), [("", "live", 15), (WITHOUT_SOCKETS, "polling", 60)])
def test_progress_then_full_and_the_result(page, hub, script, state, steps):
    page.add_init_script(script)
    watch(page, hub, name="test.steps", payload={"count": steps, "pause": 0.3})
    expect(page.locator("#connection")).to_have_text(state, timeout=PATIENCE * 1000)
    expect(page.locator("#message")).to_have_text(re.compile(r"step \d+"))
    before = page.locator("#message").inner_text()
    expect(page.locator("#message")).not_to_have_text(before)
    expect(page.locator("#result")).to_have_text(re.compile(f'"steps": {steps}'), timeout=PATIENCE * 1000)
    expect(page.locator("#percent")).to_have_text("100%")
    assert page.locator("#bar").evaluate("bar => bar.value") == 100


def test_a_failure_in_its_own_words(page, hub):
    watch(page, hub, name="demo.broken")
    expect(page.locator("#failure")).to_have_text("dead_lettered: The account has been closed.")


def test_an_unknown_job_is_said_to_be_one(page):
    page.goto("/static/examples/watch.html?task=019abcde-f012-7345-8678-9abcdef01234")
    expect(page.locator("#failure")).to_be_visible()
