"""The addresses: the demo's only where it is installed, and never in production."""

from __future__ import annotations

import runpy
from pathlib import Path

from django.apps import apps

URLS = str(Path(__file__).parents[2] / "taskhub" / "urls.py")


def mounted() -> list[str]:
    return [str(entry.pattern) for entry in runpy.run_path(URLS)["urlpatterns"]]


def test_in_development_the_demo_is_mounted():
    assert "demo/" in mounted()


def test_in_production_it_is_not(settings):
    settings.DEVELOPMENT = False
    assert "demo/" not in mounted()


def test_without_its_app_it_is_not(monkeypatch):
    monkeypatch.setattr(apps, "is_installed", lambda name: name != "demo")
    assert "demo/" not in mounted()


def test_the_other_parts_always_are():
    assert {"admin/", ""} <= set(mounted())
