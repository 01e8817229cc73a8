"""For the tests of those who write handlers: run what is due, here and now, without a worker."""

from __future__ import annotations

from asgiref.sync import async_to_sync

from tasks import lifecycle, registry
from tasks.changes import Outcome
from tasks.database import database_now
from tasks.engine import attempt, claim
from tasks.engine.context import Context
from tasks.engine.deadline import Alarm
from tasks.engine.desk import Desk, Running
from tasks.engine.session import lease
from tasks.models import Task, Worker
from tasks.pipelines.advance import sweep

NAME = "tests"


def run_pending(limit: int = 1000) -> list[Task]:
    """Run every task that is due, in the order of the workers, until none is left or `limit` attempts are made.

    Returns the tasks as they are after their attempts. Tasks whose `run_at` lies ahead stay where they are, and HTTP
    callbacks are not sent; pipelines go on as their steps end. Works inside a test's transaction.
    """
    worker = _worker()
    done: list[Task] = []
    while len(done) < limit and (task := _claim(worker)):
        done.append(_run(task, worker))
    return done


def _claim(worker: Worker) -> Task | None:
    sweep()
    lifecycle.promote()
    names = {*claim.names(Worker.Roles.PLAIN), *claim.names(Worker.Roles.LOOP)} - {claim.CALLBACK}
    return next(iter(lifecycle.claim(claim.claimable(names)[:1], worker)), None)


def _run(task: Task, worker: Worker) -> Task:
    desk, running = Desk(worker), Running(task, Context(task))
    desk.end(running, _outcome(running))
    desk.record()
    return Task.objects.get(pk=task.pk)


def _outcome(running: Running) -> Outcome:
    if registry.find(running.task.name).is_async:
        return async_to_sync(attempt.arun)(running.task, running.context)
    with (alarm := Alarm()).listening():
        return attempt.run(running.task, running.context, alarm, attempt.open_transactions())


def _worker() -> Worker:
    """A session that ends with the test."""
    now = database_now()
    return Worker.objects.create(
        host=NAME, pid=0, role=Worker.Roles.PLAIN, started_at=now, heartbeat_at=now, expires_at=now + lease()
    )
