"""How long handlers take: noted by workers, shared by the table."""

from __future__ import annotations

import pytest

from tasks import durations
from tasks.models import HandlerDuration

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    monkeypatch.setattr(durations, "_known", {})
    monkeypatch.setattr(durations, "_new", durations._new.copy())
    durations._new.clear()


def test_nothing_is_known_at_first():
    assert durations.expected("reports.build") is None


def test_what_was_noted_is_known_once_it_is_shared():
    durations.note("reports.build", 10)
    durations.note("reports.build", 20)
    assert durations.expected("reports.build") is None
    durations.share()
    assert durations.expected("reports.build") == 15


def test_the_mean_follows_slowly_and_nothing_counts_twice():
    HandlerDuration.objects.create(name="reports.build", mean=10)
    durations.note("reports.build", 20)
    durations.share()
    durations.share()
    assert durations.expected("reports.build") == HandlerDuration.objects.get().mean == 12


def test_a_worker_learns_from_the_others():
    HandlerDuration.objects.create(name="reports.mail", mean=3)
    durations.share()
    assert durations.expected("reports.mail") == 3
