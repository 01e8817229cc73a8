"""What a handler is given, and what it says of itself: all in memory."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import math
import threading
import time
from types import SimpleNamespace

import pytest

from tasks.engine import context as module
from tasks.engine.context import STATE_LIMIT, Context, Estimate, Interrupted, Reports, TaskLogHandler, current
from tasks.exceptions import InvalidTask, TooLarge
from tasks.models import Task


@pytest.fixture
def context():
    return Context(Task(name="test.echo", attempt=2, tries=5, state={"done": 1}))


@pytest.fixture
def logger():
    logger = logging.getLogger("somebody's library")
    handler = TaskLogHandler()
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)


def lines(context: Context) -> list[tuple[str, str]]:
    return [(line.level, line.message) for line in context.take_reports().lines]


def test_it_knows_the_attempt(context):
    assert (context.task_id, context.attempt, context.state) == (context.idempotency_key, 2, {"done": 1})
    assert len(context.task_id) == 36


@pytest.mark.parametrize(("said", "kept"), [(50, 50), (-1, 0), (101, 100), (math.inf, 100), (1.5, 1.5)])
def test_progress_is_cut_to_a_percentage(context, said, kept):
    context.progress(said, "half way")
    assert context.take_reports().progress == (kept, "half way")


def test_progress_that_is_no_number_is_the_handlers_error(context):
    with pytest.raises(ValueError, match="NaN"):
        context.progress(math.nan)


def test_secrets_of_the_payload_are_taken_out_of_what_it_says():
    context = Context(Task(name="test.echo", payload={"password": "hunter22"}))
    context.progress(1, "with hunter22")
    context.log("with hunter22")
    reports = context.take_reports()
    assert (reports.progress, [line.message for line in reports.lines]) == ((1, "with ***"), ["with ***"])


def test_only_the_last_progress_is_reported_and_only_once(context):
    context.progress(1)
    context.progress(2, "x" * 1000)
    assert context.take_reports().progress == (2, "x" * module.MESSAGE_LIMIT)
    assert not context.take_reports()


def test_lines_are_cut_and_end_with_a_word_about_the_rest(context):
    for n in range(module.LINES_KEPT + 10):
        context.log("x" * 5000 if n == 0 else n)
    kept = lines(context)
    assert len(kept) == module.LINES_KEPT
    assert len(kept[0][1]) == module.LINE_LIMIT
    assert kept[-1] == ("INFO", f"More than {module.LINES_KEPT} lines; the rest is not kept.")


def test_what_no_database_takes_is_replaced(context):
    context.log("a\0b\ud800")
    context.progress(1, "a\0b")
    reports = context.take_reports()
    assert reports.lines[0].message == "a\ufffdb?"
    assert reports.progress == (1, "a\ufffdb")


def test_a_checkpoint_saves_the_state_and_goes_on(context):
    context.state["done"] = 2
    context.checkpoint()
    assert context.take_reports().state == {"done": 2}
    context.checkpoint()
    assert context.take_reports().state is None


@pytest.mark.parametrize("reason", ["cancel", "pause", "shutdown"])
def test_a_checkpoint_is_where_a_request_takes_effect(context, reason):
    context.state["done"] = 2
    context.interrupt(reason)
    with pytest.raises(Interrupted) as interruption:
        context.checkpoint()
    assert interruption.value.reason == reason
    assert context.take_reports().state == {"done": 2}


def test_no_ordinary_except_catches_an_interruption():
    assert not issubclass(Interrupted, Exception)


def test_being_forced_keeps_the_reason_of_an_earlier_request(context):
    context.interrupt("cancel")
    context.force("shutdown")
    assert (context.interruption, context.forced) == ("cancel", True)


def test_a_state_that_is_no_json_is_refused_at_the_checkpoint(context):
    context.state["file"] = object()
    with pytest.raises(InvalidTask, match="object"):
        context.checkpoint()


def test_a_state_that_is_too_large_is_refused_with_its_size(context):
    context.state["page"] = "x" * STATE_LIMIT
    with pytest.raises(TooLarge, match=f"ctx.state has 26.... bytes of JSON; at most {STATE_LIMIT} are"):
        context.checkpoint()
    assert context.take_reports().state is None


def test_the_end_tells_the_state_unless_it_was_never_another(context):
    assert context.changed_state() is None
    context.state["done"] = 2
    assert context.changed_state() == {"done": 2}


def test_the_end_tells_a_state_again_that_a_checkpoint_has_saved(context):
    """The pulse may have it in its hands still, and what comes after the outcome is dropped."""
    context.state["done"] = 2
    context.checkpoint()
    context.take_reports()
    assert context.changed_state() == {"done": 2}
    assert context.take_reports().state is None


def test_the_end_tells_a_state_that_was_changed_back(context):
    context.state["done"] = 2
    context.checkpoint()
    context.state["done"] = 1
    assert context.changed_state() == {"done": 1}


def test_reports_that_could_not_be_written_are_new_again(context):
    context.progress(1, "first")
    context.log("first")
    context.state["done"] = 2
    context.checkpoint()
    taken = context.take_reports()
    context.log("second")
    context.put_back(taken)
    again = context.take_reports()
    assert [line.message for line in again.lines] == ["first", "second"]
    assert (again.progress, again.state) == ((1, "first"), {"done": 2})


def test_what_has_been_said_since_is_not_overwritten(context):
    context.progress(1)
    context.state["done"] = 2
    context.checkpoint()
    taken = context.take_reports()
    context.progress(2)
    context.state["done"] = 3
    context.checkpoint()
    context.put_back(taken)
    again = context.take_reports()
    assert (again.progress, again.state) == ((2, ""), {"done": 3})


def test_reports_are_true_when_they_say_something():
    assert not Reports()
    assert Reports(progress=(None, ""))
    assert Reports(state={})


# -- standard logging ---------------------------------------------------------------------------------------------


def test_a_library_logs_to_the_task_that_runs(context, logger):
    logger.warning("before")
    with current(context):
        logger.warning("within %d", 1)
    logger.warning("after")
    assert lines(context) == [("WARNING", "within 1")]


def test_another_thread_does_not(context, logger):
    with current(context):
        thread = threading.Thread(target=lambda: logger.warning("elsewhere"))
        thread.start()
        thread.join()
    assert lines(context) == []


async def test_handlers_that_run_at_once_are_told_apart(logger):
    contexts = [Context(Task(name="test.async")) for _ in range(3)]

    async def work(context: Context, n: int) -> None:
        with current(context):
            await asyncio.sleep(0)
            logger.error("%d", n)

    await asyncio.gather(*(work(context, n) for n, context in enumerate(contexts)))
    assert [lines(context) for context in contexts] == [[("ERROR", str(n))] for n in range(3)]


def test_a_record_that_cannot_be_formatted_hurts_nobody(context, logger, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with current(context):
        logger.warning("%d", "no number")
    assert lines(context) == []


# -- estimates ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """The monotonic clock; it stands still unless it is moved."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    return clock


def test_a_fresh_run_goes_on_as_fast_as_since_its_beginning(clock):
    estimate = Estimate(Task(name="test.steps"))
    clock.now += 10
    assert estimate.left(20) == 40
    clock.now += 30
    assert estimate.left(80) == 10
    assert estimate.left(100) == 0


def test_one_that_was_resumed_as_fast_as_since_its_first_report(clock):
    estimate = Estimate(Task(name="test.steps", state={"done": 50}))
    assert estimate.left(50) is None
    clock.now += 10
    assert estimate.left(60) == 40


def test_nothing_is_told_of_what_has_hardly_begun(clock):
    estimate = Estimate(Task(name="test.steps"))
    clock.now += 0.9
    assert estimate.left(30) is None
    clock.now += 10
    assert estimate.left(0) is None


def test_earlier_runs_know_better_until_a_tenth_is_done(clock):
    estimate = Estimate(Task(name="test.steps", eta=dt.datetime.now(dt.UTC)))
    clock.now += 10
    assert estimate.left(9.9) is None
    assert estimate.left(10) == 90


def test_a_report_brings_its_estimate(clock):
    context = Context(Task(name="test.steps"))
    clock.now += 5
    context.progress(50)
    assert context.take_reports().left == 5
