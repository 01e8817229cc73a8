"""Each way in which a handler can end is one outcome. The handlers here are registered for the test alone."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress

import pytest
from django.db import OperationalError, connection, transaction

from tasks import PermanentError, Snooze, registry
from tasks.changes import Outcome
from tasks.database import uuid7
from tasks.engine import attempt
from tasks.engine.context import Context, Interrupted, _current
from tasks.engine.deadline import Alarm
from tasks.models import Queue, Task
from tasks.states import Actions as A

pytestmark = pytest.mark.django_db
LONG = 60.0


@pytest.fixture
def perform(monkeypatch):
    """Register `function` as a handler and run one attempt of it, in the way that is asked for."""
    monkeypatch.setattr(registry, "_handlers", {})

    def perform(function, payload=None, *, timeout: float = LONG, state=None, before=None) -> Outcome:
        registry._handlers.clear()
        registry.handler("under.test")(function)
        task = Task(name="under.test", payload=payload or {}, timeout=timeout, lease=uuid7(), state=state or {})
        context = Context(task)
        if before:
            before(context)
        with (alarm := Alarm()).listening():
            return attempt.run(task, context, alarm, attempt.open_transactions())

    return perform


def fail(error):
    def function(ctx):
        raise error

    return function


def test_a_result_completes_it(perform):
    outcome = perform(lambda ctx, month: {"month": month}, {"month": "2026-11"})
    assert (outcome.action, outcome.result, outcome.result_size) == (A.COMPLETE, {"month": "2026-11"}, 19)
    assert outcome.elapsed >= 0


@pytest.mark.parametrize("result", [None, 1, 1.5, "text", [1, {"a": None}], True])
def test_any_json_is_a_result(perform, result):
    assert perform(lambda ctx: result).result == result


@pytest.mark.parametrize(
    "result", [object(), {1: 2}, float("nan"), "a\0b", "\ud800", 2**70, {"a": {1, 2}}, "x" * (attempt.RESULT_LIMIT + 1)]
)
def test_what_is_no_json_of_ours_is_a_permanent_error(perform, result):
    outcome = perform(lambda ctx: result)
    assert (outcome.action, outcome.error["type"], outcome.result) == (A.BURY, "InvalidResult", None)


def test_an_exception_fails_it_and_tells_where(perform):
    outcome = perform(fail(RuntimeError("it broke")))
    assert (outcome.action, outcome.error["type"], outcome.error["detail"]) == (A.FAIL, "RuntimeError", "it broke")
    assert "raise error" in outcome.error["traceback"]


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), BaseException("odd")])
def test_no_exception_ends_the_worker(perform, error):
    assert perform(fail(error)).action is A.FAIL


def test_an_exception_that_cannot_speak_is_no_harm(perform):
    class Mute(Exception):
        def __str__(self):
            raise ValueError

    assert perform(fail(Mute())).error["type"].endswith("Mute")


def test_a_permanent_error_buries_it(perform):
    assert perform(fail(PermanentError("no use"))).action is A.BURY


@pytest.mark.parametrize(("seconds", "delay"), [(60, 60), (-1, 0), (1e12, attempt.SNOOZE_LIMIT)])
def test_snoozing(perform, seconds, delay):
    outcome = perform(fail(Snooze(seconds)))
    assert (outcome.action, outcome.delay) == (A.SNOOZE, delay)


def test_a_payload_that_no_longer_fits_is_a_permanent_error(perform):
    outcome = perform(lambda ctx, month: None, {"year": 2026})
    assert (outcome.action, outcome.error["type"]) == (A.BURY, "InvalidTask")


def test_a_handler_that_was_deployed_away_is_a_permanent_error(monkeypatch):
    monkeypatch.setattr(registry, "_handlers", {})
    task = Task(name="gone", lease=uuid7())
    assert attempt.run(task, Context(task), Alarm(), attempt.open_transactions()).action is A.BURY


# -- interruptions ------------------------------------------------------------------------------------------------


def test_the_deadline_is_an_ordinary_failure_that_says_so(perform):
    outcome = perform(lambda ctx: time.sleep(LONG), timeout=0.05)
    assert (outcome.action, outcome.error["type"]) == (A.FAIL, "DeadlineExceeded")
    assert outcome.error["detail"] == "The deadline of 0.05 s passed."
    assert "time.sleep" in outcome.error["traceback"]


@pytest.mark.parametrize("reason", ["cancel", "pause", "shutdown"])
def test_a_request_that_meets_a_checkpoint_releases_the_task(perform, reason):
    outcome = perform(lambda ctx: ctx.checkpoint(), before=lambda ctx: ctx.interrupt(reason))
    assert outcome.action is A.RELEASE


@pytest.mark.postgres
def test_a_query_can_be_interrupted_and_the_next_one_has_a_sound_connection(perform, on_postgres):
    def query(ctx):
        connection.cursor().execute("SELECT pg_sleep(60)")

    assert perform(query, timeout=0.05).error["type"] == "DeadlineExceeded"
    assert Queue.objects.count() == 0


@pytest.mark.postgres
def test_a_connection_that_a_handler_breaks_is_another_one_for_the_next(perform, on_postgres):
    def broken(ctx):
        with suppress(OperationalError):
            connection.cursor().execute("SELECT pg_terminate_backend(pg_backend_pid())")

    assert perform(broken).action is A.COMPLETE
    assert perform(lambda ctx: Queue.objects.count()).result == 0


def test_an_interruption_leaves_a_tests_own_transaction_alone(perform):
    Queue.objects.create(name="of the test")
    perform(lambda ctx: time.sleep(LONG), timeout=0.05)
    assert Queue.objects.get().name == "of the test"


# -- state --------------------------------------------------------------------------------------------------------


def test_the_outcome_carries_the_state(perform):
    def work(ctx):
        ctx.state["done"] += 1
        raise RuntimeError

    assert perform(work, state={"done": 1}).state == {"done": 2}
    assert perform(lambda ctx: None, state={"done": 1}).state is None


def test_a_state_that_is_no_json_is_a_permanent_error(perform):
    outcome = perform(lambda ctx: ctx.state.update(file=object()))
    assert (outcome.action, outcome.error["type"], outcome.state) == (A.BURY, "InvalidState", None)
    outcome = perform(lambda ctx: ctx.state.update(page="x" * 300_000))
    assert (outcome.action, outcome.error["type"], outcome.state) == (A.BURY, "InvalidState", None)


# -- transactions -------------------------------------------------------------------------------------------------


@pytest.fixture
def another_connection(transactional_db):
    """The thread has another connection afterwards: which has to learn again what its database can."""
    yield
    assert connection.features.supports_json_field


def _leave_open(ctx):
    transaction.atomic().__enter__()
    Queue.objects.create(name="left open")


@pytest.mark.usefixtures("another_connection")
def test_a_handler_may_not_return_inside_a_transaction(perform):
    outcome = perform(_leave_open)
    assert (outcome.action, outcome.error["type"]) == (A.FAIL, "OpenTransaction")
    assert not Queue.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_nor_inside_one_that_it_began_by_hand(perform):
    outcome = perform(lambda ctx: transaction.set_autocommit(False))
    assert outcome.error["type"] == "OpenTransaction"
    assert transaction.get_autocommit()


@pytest.mark.usefixtures("every_database")
def test_nor_inside_one_that_django_knows_nothing_of(perform):
    def work(ctx):
        connection.cursor().execute("BEGIN")
        Queue.objects.create(name="left open")

    outcome = perform(work)
    assert (outcome.action, outcome.error["type"]) == (A.FAIL, "OpenTransaction")
    assert not Queue.objects.exists()


@pytest.mark.usefixtures("another_connection")
def test_what_a_failing_handler_left_open_is_rolled_back_too(perform):
    def work(ctx):
        _leave_open(ctx)
        raise RuntimeError("first")

    assert perform(work).error["type"] == "RuntimeError"
    assert not Queue.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_it_has_committed_stays(perform):
    def work(ctx):
        with transaction.atomic():
            Queue.objects.create(name="committed")

    assert perform(work).action is A.COMPLETE
    assert Queue.objects.get().name == "committed"


def test_what_was_open_before_is_not_the_handlers(perform):
    with transaction.atomic():
        assert perform(lambda ctx: None).action is A.COMPLETE


# -- async --------------------------------------------------------------------------------------------------------


@pytest.fixture
def start(monkeypatch):
    """Register an async handler and start an attempt in this loop. Gives the asyncio task and the context."""
    monkeypatch.setattr(registry, "_handlers", {})

    def start(function, **fields):
        registry._handlers.clear()
        registry.handler("under.test")(function)
        task = Task(name="under.test", lease=uuid7(), timeout=LONG, **fields)
        context = Context(task)
        return asyncio.create_task(attempt.arun(task, context)), context

    return start


async def test_an_async_handler_runs_in_the_loop(start):
    async def work(ctx, value):
        await asyncio.sleep(0)
        return _current.get() is ctx and value

    running, _ = start(work, payload={"value": "x"})
    assert (await running).result == "x"


async def test_an_async_handler_that_is_forced_ends_with_the_reason(start):
    async def work(ctx):
        await asyncio.sleep(LONG)

    for reason, action in (("deadline", A.FAIL), ("cancel", A.RELEASE), ("shutdown", A.RELEASE)):
        running, context = start(work)
        await asyncio.sleep(0)
        context.force(reason)
        running.cancel()
        assert (await running).action is action


async def test_an_async_handler_that_cancels_itself_has_failed(start):
    async def work(ctx):
        raise asyncio.CancelledError

    running, _ = start(work)
    assert (await running).action is A.FAIL


async def test_an_async_handler_meets_a_checkpoint_too(start):
    async def work(ctx):
        ctx.interrupt("pause")
        ctx.checkpoint()

    running, _ = start(work)
    assert (await running).action is A.RELEASE


def test_a_suspect_async_handler_runs_in_a_loop_of_its_own(perform):
    async def work(ctx, value):
        await asyncio.sleep(0)
        return value

    assert perform(work, {"value": "x"}).result == "x"


def test_whose_deadline_is_the_threads(perform):
    async def work(ctx):
        await asyncio.sleep(LONG)

    async def blocking(ctx):
        with suppress(Exception):
            time.sleep(LONG)

    assert perform(work, timeout=0.05).error["type"] == "DeadlineExceeded"
    assert perform(blocking, timeout=0.05).error["type"] == "DeadlineExceeded"


def test_an_interruption_from_outside():
    task = Task(name="x", timeout=3, lease=uuid7())
    context = Context(task)
    assert attempt.interrupted(task, context).error["type"] == "DeadlineExceeded"
    context.force("shutdown")
    assert attempt.interrupted(task, context).action is A.RELEASE
    assert sys.exc_info() == (None, None, None)
    assert issubclass(Interrupted, BaseException)
