"""Patience with a database that is away, and its limits."""

from __future__ import annotations

import logging
import time

import pytest
from django.db import DataError, IntegrityError, InterfaceError, OperationalError, ProgrammingError

from tasks.engine import endurance
from tasks.engine.endurance import Budget, Outage, patiently

pytestmark = pytest.mark.django_db


@pytest.fixture
def waits(monkeypatch):
    """The waits between tries, in seconds; none is really made."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


def failing(*errors: Exception):
    """Work that fails with each of `errors` in turn and then succeeds."""
    left = list(errors)

    def work() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return work


@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("closed")])
def test_a_broken_connection_costs_no_time(waits, error):
    assert patiently(failing(error), lambda: False) == "done"
    assert waits == []


def test_an_outage_is_sat_out_with_growing_waits(waits):
    errors = [OperationalError("away")] * 9 + [ProgrammingError("no such table")]
    assert patiently(failing(*errors), lambda: True) == "done"
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0])


def test_patience_ends_when_it_is_time_to_go(waits):
    assert patiently(failing(*[OperationalError("away")] * 2), lambda: False) is None


@pytest.mark.parametrize("error", [DataError("too long"), IntegrityError("twice"), ZeroDivisionError()])
@pytest.mark.parametrize("before", [[], [OperationalError("away")]])
def test_what_would_be_refused_again_is_raised(waits, error, before):
    with pytest.raises(type(error)):
        patiently(failing(*before, error), lambda: True)


def test_a_series_of_errors_is_told_once_and_its_end_too(caplog):
    outage = Outage("The sweep")
    with caplog.at_level(logging.INFO, endurance.__name__):
        seen = [outage.survived(failing(OperationalError("away\nfrom keyboard"))) for _ in range(3)]
        seen.append(outage.survived(failing()))
        seen.append(outage.survived(failing()))
    assert seen == [False, False, False, True, True]
    first, last = [record.getMessage() for record in caplog.records]
    assert first == "The sweep waits for the database (away)."
    assert last.startswith("The sweep works again after ")


def test_an_error_of_our_own_is_survived_with_its_traceback(caplog):
    assert not Outage("The pulse").survived(failing(ZeroDivisionError("oops")))
    (record,) = caplog.records
    assert "stumbled (ZeroDivisionError('oops'))" in record.getMessage()
    assert record.exc_info


def test_a_process_has_its_time_and_its_memory(monkeypatch):
    budget = Budget()
    assert not budget.is_spent
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + endurance.LIFETIME + 1)
    assert budget.is_spent
    monkeypatch.undo()
    used = endurance._resident()
    assert 1024 < used < 64 * 1024 * 1024  # KiB, on every platform
    monkeypatch.setattr(endurance, "_resident", lambda: used + endurance.GROWTH + 1024)
    assert budget.is_spent
