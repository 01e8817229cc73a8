"""The worker that runs callbacks and `async def` handlers: hundreds at once, in one event loop.

The ORM runs in one thread beside the loop, with a connection of its own. Outcomes that come while that thread is
busy are written together by its next turn.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, connection

from tasks import failpoints, hints, lifecycle
from tasks.callbacks import delivery
from tasks.callbacks.request import Sender, Verdict
from tasks.changes import Outcome
from tasks.engine import attempt, claim
from tasks.engine.desk import Desk, Running
from tasks.engine.endurance import Budget, patiently
from tasks.engine.session import Session
from tasks.engine.watchdog import Watchdog
from tasks.models import Task, Worker
from tasks.submission import callback_policy

T = TypeVar("T")

AT_ONCE = 500  # tasks in flight
STEP = 50  # tasks claimed by one transaction
USER_AGENT = "TaskHub/1"
DATABASE_ERRORS = {OperationalError.__name__, InterfaceError.__name__}


class LoopWorker:
    def __init__(self, session: Session, desk: Desk, watchdog: Watchdog, give_way: Callable[[], None]) -> None:
        self._session, self._desk, self._watchdog = session, desk, watchdog
        self._give_way = give_way
        self._budget = Budget()
        self._database = ThreadPoolExecutor(1, thread_name_prefix="database")
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._driver: Any = None  # the connection of the database's thread, as it was last seen
        self._has_reconnected = False

    def run(self) -> None:
        """Work until the session ends or this process has had its time; then wait for what runs.

        Raises what went wrong in the worker itself: its tasks are then to be rescued.
        """
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._wake, self._ended = asyncio.Event(), asyncio.Event()
        threading.Thread(target=self._listen, name="hints", daemon=True).start()
        recording = asyncio.create_task(self._record())
        recording.add_done_callback(self._check)
        async with Sender(callback_policy(), USER_AGENT) as self._sender:
            while self._goes_on():
                self._wake.clear()
                if not await self._claim():
                    await self._sleep()
            if self._failure:
                raise self._failure
            self._give_way()
            if self._tasks:
                await asyncio.wait(self._tasks)
        recording.cancel()
        await self._patiently(self._desk.clear)
        await self._loop.run_in_executor(self._database, lambda: connection.close())  # that thread's own
        self._database.shutdown()

    def _goes_on(self) -> bool:
        return not (self._session.ending or self._budget.is_spent or self._failure)

    async def _patiently(self, work: Callable[[], T]) -> T | None:
        """Do what the database is to do in its thread. None when the session is lost before it has answered."""
        return await self._loop.run_in_executor(self._database, patiently, work, self._is_held)

    def _is_held(self) -> bool:
        return not self._session.is_lost

    def _check(self, task: asyncio.Task[None]) -> None:
        """Outcomes that cannot be written must not lie in a worker that goes on as if nothing had happened."""
        if not task.cancelled() and task.exception():
            self._failure = task.exception()
            self._wake.set()

    # -- claiming -------------------------------------------------------------------------------------------------

    async def _claim(self) -> int:
        """Start what may be claimed now. Returns how many tasks that are."""
        free = min(AT_ONCE - len(self._tasks), STEP)
        if free <= 0 or not self._session.is_safe:
            return 0
        await self._patiently(partial(self._take, free))
        if not self._session.is_safe:
            self._desk.hand_back()
        if self._has_reconnected:
            self._refresh()
            self._has_reconnected = False
        started = 0
        while running := self._desk.start():
            self._tasks.add(task := asyncio.create_task(self._run(running)))
            task.add_done_callback(self._left)
            started += 1
        return started

    def _take(self, limit: int) -> None:
        if self._goes_on() and (self._desk.claim_in_doubt or claim.is_waiting(Worker.Roles.LOOP)):
            suspects = sum(claim.is_suspect(running.task) for running in list(self._desk.running.values()))
            self._desk.exchange(partial(self._take_up_to, limit, suspects))
        self._has_reconnected |= self._driver not in (None, connection.connection)
        self._driver = connection.connection

    def _take_up_to(self, limit: int, suspects: int) -> list[Task]:
        """Not if it was told to stop while it wrote the outcomes that came before."""
        return claim.many(self._session, limit, suspects) if self._goes_on() else []

    async def _sleep(self) -> None:
        """Until a hint, the end of a task when all places are taken, or the next `run_at`."""
        self._session.is_idle = not self._tasks
        due = await self._patiently(claim.seconds_until_due)
        try:
            async with asyncio.timeout(due or claim.SAFETY):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._session.is_idle = False

    def _listen(self) -> None:
        """A thread of its own, which turns hints into a wake-up of the loop."""
        with closing(hints.listen(hints.WORK)) as listener:
            while self._goes_on():
                if listener.wait(claim.SAFETY):
                    with suppress(RuntimeError):  # the loop has ended meanwhile
                        self._loop.call_soon_threadsafe(self._wake.set)

    # -- running --------------------------------------------------------------------------------------------------

    async def _run(self, running: Running) -> None:
        work = asyncio.create_task(self._call_back(running) if running.task.is_callback else self._handle(running))
        running.force = partial(self._force, running, work)
        with self._watchdog.guard(running):
            failpoints.reach("run.begin")
            try:
                outcome = await work
            except asyncio.CancelledError:  # before its first step
                outcome = attempt.interrupted(running.task, running.context)
        failpoints.reach("run.end")
        if outcome is None:
            self._desk.forget(running)
        else:
            await self._patiently(partial(self._desk.end, running, outcome))
            self._ended.set()

    def _left(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()
        self._check(task)

    def _force(self, running: Running, work: asyncio.Task[Outcome | None], reason: str) -> None:
        running.context.force(reason)
        self._loop.call_soon_threadsafe(work.cancel)

    async def _handle(self, running: Running) -> Outcome:
        outcome = await attempt.arun(running.task, running.context)
        if outcome.error and outcome.error["type"] in DATABASE_ERRORS:
            self._refresh()
        return outcome

    def _refresh(self) -> None:
        """The handlers use a connection of their own thread's. If it is dead, Django would go on with it for ever."""
        self._refreshing = asyncio.create_task(sync_to_async(attempt.close_connections)())

    async def _call_back(self, running: Running) -> Outcome | None:
        """Send the request. None when the receiver will report the result itself."""
        try:
            callback = await self._patiently(partial(delivery.callback_for, running.task))
            if callback is None:
                return attempt.interrupted(running.task, running.context)
            answer = await self._sender.send(callback)
        except asyncio.CancelledError:
            return attempt.interrupted(running.task, running.context)
        if answer.outcome is not Verdict.DEFERRED:
            return delivery.outcome_of(running.task, answer)
        left = delivery.deferral(running.task) - answer.elapsed
        task = running.task
        await self._patiently(partial(lifecycle.defer, task.pk, task.present_lease, left, self._session.name))
        return None

    async def _record(self) -> None:
        """Write outcomes as they come; those that come meanwhile are written together by the next turn."""
        while True:
            await self._ended.wait()
            self._ended.clear()
            await self._patiently(self._desk.record)
