"""The tree of errors, and how a field's place is told. No database."""

from __future__ import annotations

import inspect

import pytest

from tasks import exceptions
from tasks.exceptions import FieldError, InvalidTask, Snooze, TaskhubError


@pytest.mark.parametrize(
    ("field", "seen"), [("payload.month", "tasks[3].payload.month"), ("name", "tasks[3].name"), ("", "tasks[3]")]
)
def test_a_field_error_seen_from_outside(field, seen):
    assert FieldError(field, "Wrong.").under("tasks[3]") == FieldError(seen, "Wrong.")


def test_an_invalid_task_reads_as_a_sentence():
    assert str(InvalidTask(FieldError("a", "Wrong."), FieldError("b", "Too."))) == "a: Wrong.; b: Too."


def test_snooze_knows_its_seconds():
    assert (Snooze(60).seconds, str(Snooze(60))) == (60, "snoozed for 60 s")


@pytest.mark.parametrize("seconds", ["soon", None, float("nan")])
def test_nonsense_fails_in_the_handler_that_says_it(seconds):
    with pytest.raises((TypeError, ValueError)):
        Snooze(seconds)


def test_the_tree_in_the_docstring_is_the_tree_there_is():
    assert exceptions.__doc__
    for name, kind in inspect.getmembers(exceptions, inspect.isclass):
        if issubclass(kind, Exception):
            assert issubclass(kind, TaskhubError)
            assert name in exceptions.__doc__
