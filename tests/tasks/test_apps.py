"""What start-up does."""

from __future__ import annotations

from tasks import registry


def test_the_handlers_of_every_installed_app_are_found():
    assert registry.find("test.echo").function.__module__ == "tests.app.handlers"
