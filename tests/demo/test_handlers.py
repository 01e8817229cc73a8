"""The four sample handlers do what their first lines say."""

from __future__ import annotations

import pytest

from demo import handlers
from tasks import PermanentError, registry
from tasks.engine.context import Context, Interrupted
from tasks.models import Task


def context(**fields) -> Context:
    return Context(Task(name="demo", tries=1, **{"attempt": 1} | fields))


def test_they_are_found_with_a_sentence_each():
    found = {handler.name: handler.summary for handler in registry.handlers() if handler.name.startswith("demo.")}
    assert set(found) == {"demo.hello", "demo.report", "demo.flaky", "demo.broken"}
    assert all(found.values())


def test_hello():
    assert handlers.hello(context(), "TaskHub") == {"greeting": "Hello, TaskHub!"}


def test_a_report_shows_its_progress_and_says_when_it_is_done():
    ctx = context()
    assert handlers.report(ctx, "2026-11", pages=2, seconds_per_page=0) == {"month": "2026-11", "pages": 2}
    reports = ctx.take_reports()
    assert reports.progress == (100.0, "page 2 of 2")
    assert [line.message for line in reports.lines] == ["The report for 2026-11 has 2 pages."]


def test_a_report_goes_on_where_it_was_interrupted():
    first = context()
    first.interrupt("pause")
    with pytest.raises(Interrupted):
        handlers.report(first, pages=3, seconds_per_page=0)
    assert first.state == {"pages": 1}
    second = context(state=first.state)
    handlers.report(second, pages=2, seconds_per_page=0)
    assert second.state == {"pages": 2}


@pytest.mark.parametrize("attempt", [1, 2])
def test_flaky_fails_twice_with_the_same_kind_of_error(attempt):
    with pytest.raises(ConnectionError, match=f"attempt {attempt}"):
        handlers.flaky(context(attempt=attempt))


def test_flaky_succeeds_at_the_third_attempt():
    assert handlers.flaky(context(attempt=3)) == {"attempts": 3}


def test_broken_is_permanent():
    with pytest.raises(PermanentError):
        handlers.broken(context())
