"""One try of one Python handler, from its task to its outcome. Nothing escapes: every end is an `Outcome`."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Set
from typing import Any

import msgspec
from django.db import connections
from psycopg.pq import TransactionStatus

from tasks import errors, registry
from tasks.changes import Outcome
from tasks.database import hang_up
from tasks.documents import check_document
from tasks.engine.context import DEADLINE, Context, Interrupted, current
from tasks.engine.deadline import Alarm
from tasks.exceptions import InvalidTask, PermanentError, Snooze
from tasks.masking import scrub
from tasks.models import Task
from tasks.registry import Handler
from tasks.states import Actions

A = Actions
RESULT_LIMIT = 256 * 1024  # bytes of JSON
NO_TRANSACTION = {TransactionStatus.IDLE, TransactionStatus.UNKNOWN}  # the latter: the connection has broken
SNOOZE_LIMIT = 10 * 365 * 86_400  # seconds


def run(task: Task, context: Context, alarm: Alarm, outside: Set[int] = frozenset()) -> Outcome:
    """Run a handler in this thread; an `async def` one in an event loop of its own.

    `outside`: the transactions that are open around it, where a test runs its tasks itself.
    """
    began = time.monotonic()
    try:
        handler, call = _prepared(task, context)
        with alarm.within(task.timeout, context), current(context):
            result = asyncio.run(call()) if handler.is_async else call()
        outcome = _left_open(task, outside) or _returned(task, result)
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: a handler's whim must not end the worker
        outcome = _raised(task, error)
        _left_open(task, outside)
        if isinstance(error, Interrupted):
            close_connections()
    return _finished(task, outcome, context, began)


async def arun(task: Task, context: Context) -> Outcome:
    """Run an `async def` handler, in this event loop. Whoever cancels it says why by `context.interrupt` before."""
    began = time.monotonic()
    try:
        with current(context):
            _, call = _prepared(task, context)
            outcome = _returned(task, await call())
    except asyncio.CancelledError as error:
        outcome = interrupted(task, context) if context.forced else _raised(task, error)
    except BaseException as error:
        outcome = _raised(task, error)
    return _finished(task, outcome, context, began)


def interrupted(task: Task, context: Context) -> Outcome:
    """The end of an attempt that was forced to end from outside."""
    return _interrupted(task, Interrupted(context.interruption or DEADLINE))


def close_connections() -> None:
    """Of this thread: an interrupted handler may have left one in the middle of a query."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:  # else it was begun outside: by a test that runs its tasks itself
            hang_up(connection)


def _prepared(task: Task, context: Context) -> tuple[Handler, Callable[[], Any]]:
    """The handler, and its call. Raises `InvalidTask` when a deployment has changed the handler's signature."""
    handler = registry.find(task.name)
    arguments = handler.bind(task.payload)
    return handler, functools.partial(handler.function, context, **arguments)


def _returned(task: Task, result: Any) -> Outcome:
    try:
        check_document(result, "result")
        size = len(msgspec.json.encode(result))
    except (InvalidTask, msgspec.MsgspecError, TypeError, ValueError) as error:
        return _outcome(task, A.BURY, error=errors.describe(task.name, "InvalidResult", str(error)))
    if size > RESULT_LIMIT:
        detail = f"The result has {size} bytes of JSON; at most {RESULT_LIMIT} are kept."
        return _outcome(task, A.BURY, error=errors.describe(task.name, "InvalidResult", detail))
    return _outcome(task, A.COMPLETE, result=result, result_size=size)


def _raised(task: Task, error: BaseException) -> Outcome:
    """The one outcome that each exception stands for."""
    if isinstance(error, Interrupted):
        return _interrupted(task, error)
    if isinstance(error, Snooze):
        return _outcome(task, A.SNOOZE, delay=min(max(float(error.seconds), 0), SNOOZE_LIMIT))
    permanent = isinstance(error, PermanentError | InvalidTask)
    return _outcome(task, A.BURY if permanent else A.FAIL, error=_described(task, error))


def _interrupted(task: Task, error: Interrupted) -> Outcome:
    if error.reason != DEADLINE:
        return _outcome(task, A.RELEASE)
    detail = f"The deadline of {task.timeout:g} s passed."
    described = errors.describe(task.name, "DeadlineExceeded", detail)
    return _outcome(task, A.FAIL, error=described | {"traceback": _described(task, error)["traceback"]})


def _described(task: Task, error: BaseException) -> dict[str, Any]:
    """The traceback begins in the handler: how it was called is no news to who wrote it. Secrets are taken out."""
    return scrub(errors.of_exception(task.name, error, without=__file__), task.payload)


def _left_open(task: Task, outside: Set[int]) -> Outcome | None:
    """Roll back what the handler left open; to return from inside a transaction is a failure of its own.

    A connection that it broke is closed: the next one is to find one that works.
    """
    is_open = False
    for connection in connections.all(initialized_only=True):
        if _transactions_of(connection) - outside:
            _give_up(connection, begun_outside=bool(outside))
            is_open = True
        elif not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
    if not is_open:
        return None
    detail = "The handler returned inside an open transaction, which has been rolled back."
    return _outcome(task, A.FAIL, error=errors.describe(task.name, "OpenTransaction", detail))


def _give_up(connection: Any, begun_outside: bool) -> None:
    """Django refuses to use a connection again that was closed inside `atomic`: the thread gets another one.

    But not in a test that runs its tasks inside a transaction of its own.
    """
    hang_up(connection)
    if not begun_outside:
        del connections[connection.alias]


def open_transactions() -> set[int]:
    """What identifies each transaction that is open in this thread."""
    return {block for connection in connections.all(initialized_only=True) for block in _transactions_of(connection)}


def _transactions_of(connection: Any) -> set[int]:
    opened = {id(block) for block in connection.atomic_blocks}
    if connection.connection and not opened and (not connection.autocommit or _has_begun(connection)):
        opened.add(id(connection))  # by hand, with set_autocommit(False) or a BEGIN that Django knows nothing of
    return opened


def _has_begun(connection: Any) -> bool:
    """Whether the driver is in a transaction."""
    if connection.vendor == "postgresql":
        return connection.connection.pgconn.transaction_status not in NO_TRANSACTION
    return connection.vendor == "sqlite" and connection.connection.in_transaction


def _finished(task: Task, outcome: Outcome, context: Context, began: float) -> Outcome:
    """With what is known only at the end: the state that the handler leaves, and how long it took."""
    try:
        state = context.changed_state()
    except (InvalidTask, TypeError) as error:
        outcome, state = _outcome(task, A.BURY, error=errors.describe(task.name, "InvalidState", str(error))), None
    outcome.state, outcome.elapsed = state, time.monotonic() - began
    return outcome


def _outcome(task: Task, action: Actions, **fields: Any) -> Outcome:
    return Outcome(task.pk, task.present_lease, action, task=task, **fields)
