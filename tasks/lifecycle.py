"""The verbs of a task, and the only writer of its state.

Each verb locks its rows in the order of their ids, asks `tasks.changes` what is due, and writes rows and events in
one transaction. An engine's verb is fenced besides: it names the lease under which the attempt runs, and what comes
without the present lease is kept on the attempt and never applied.
"""

from __future__ import annotations

import datetime as dt
import functools
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import QuerySet

from tasks import backlog, changes, durations, events, failpoints, tallies
from tasks.changes import Change, Outcome
from tasks.database import asked_now, database_now, joining, transactional, uuid7
from tasks.exceptions import Conflict
from tasks.models import Attempt, Task, TaskEvent, Worker
from tasks.models.tasks import TaskQuerySet
from tasks.rows import among, column_of, driver_value, execute, execute_each, insert, listed, new, one_trip
from tasks.states import WAITING, Actions, States

A = Actions
Outcomes = Attempt.Outcomes
HUB = "hub"  # the actor of what nobody asked for

# -- creation ------------------------------------------------------------------------------------------------------


@transactional
def create(tasks: Sequence[Task], actor: str = HUB, *, is_limited: bool = False) -> None:
    """Store new tasks of one owner, all or none. Each becomes pending; a `run_at` that isn't set is now.

    Limited, it raises `BacklogFull` when the owner has too many tasks waiting.
    """
    if is_limited and tasks:
        backlog.demand_room(tasks[0].owner_id, len(tasks))
    now = database_now()
    for task in tasks:
        task.created_at = task.updated_at = now
        task.run_at = task.run_at or now
        task.ready = task.run_at <= now
    insert(tasks)
    events.append([events.event_of(task, TaskEvent.Types.CREATED, now, actor=actor) for task in tasks])
    failpoints.reach("submit.written")


# -- the engine's verbs --------------------------------------------------------------------------------------------


@joining
def claim(
    candidates: QuerySet[Task] | Callable[[], tuple[list[Task], dt.datetime]],
    worker: Worker,
    choose: Callable[[list[Task]], list[Task]] = list,
) -> list[Task]:
    """Give to `worker` what it chooses of the candidates that nobody is claiming just now, under one new lease.

    A function that finds candidates locks their rows itself, and then asks the database's clock.
    """
    if isinstance(candidates, QuerySet):
        found, now = list(candidates.select_for_update(skip_locked=True)), database_now()
    else:
        found, now = candidates()
    tasks = choose(found)
    if tasks:
        failpoints.reach("claim.chosen")
        lease = uuid7()
        claims = [changes.claimed(task, worker, lease, now, durations.expected(task.name)) for task in tasks]
        _write(list(zip(tasks, claims, strict=True)), now, str(worker))
        failpoints.reach("claim.written")
    return tasks


@joining
def record(outcomes: Iterable[Outcome], actor: str) -> list[Task]:
    """Apply how attempts ended. Returns the tasks that changed; whose lease is lost, changes nothing."""
    by_task = {outcome.task_id: outcome for outcome in outcomes}
    held, now = _still_held(by_task)
    _end([(task, by_task[task.pk], changes.ended(task, by_task[task.pk], now)) for task in held], now, actor)
    _keep_late(by_task.keys() - {task.pk for task in held}, by_task)
    return held


@dataclass(frozen=True, slots=True)
class Progress:
    """What a running attempt reports of itself. `percent` is 0 to 100, `left` the seconds to go if known."""

    task_id: uuid.UUID
    lease: uuid.UUID
    percent: float | None
    message: str
    left: float | None = None


@joining
def report(reports: Iterable[Progress], actor: str) -> list[Task]:
    """Store the progress of attempts that still hold their lease. Returns the tasks that changed."""
    by_task = {progress.task_id: progress for progress in reports}
    held, now = _held({task_id: progress.lease for task_id, progress in by_task.items()}), database_now()
    _write([(task, _progressed(task, by_task[task.pk], now)) for task in held], now, actor)
    return held


def _progressed(task: Task, said: Progress, now: dt.datetime) -> Change:
    eta = None if said.left is None else now + dt.timedelta(seconds=said.left)
    return changes.progressed(task, said.percent, said.message, eta)


def save_state(task_id: uuid.UUID, lease: uuid.UUID, state: dict[str, Any]) -> bool:
    """Keep `ctx.state` for later attempts. It is the handler's own note, not a change of the task."""
    return bool(Task.objects.filter(pk=task_id, lease=lease).update(state=state))


@transactional
def defer(task_id: uuid.UUID, lease: uuid.UUID, seconds: float, actor: str) -> bool:
    """The receiver of a callback answers later: the attempt goes on without a worker. False when the lease is lost."""
    held = _held({task_id: lease})
    now = database_now()
    until = now + dt.timedelta(seconds=seconds)
    _write_or_end([(task, changes.deferred(task, until, now)) for task in held], now, actor)
    return bool(held)


@transactional
def rescue(tasks: TaskQuerySet, charged: bool, detail: str = "The worker is gone.") -> list[Task]:
    """Take tasks that are being processed from a worker that is lost. Charged, it counts as a crash of theirs."""
    rescued, now = _lock(tasks.processing()), database_now()
    errors = [changes.lost(task, charged, detail, now) for task in rescued]
    lost = [
        Outcome(task.pk, task.present_lease, A.RESCUE, error=error) for task, error in zip(rescued, errors, strict=True)
    ]
    ends = zip(rescued, lost, strict=True)
    _end([(task, outcome, changes.rescued(task, charged, detail, now)) for task, outcome in ends], now, HUB)
    tallies.rescued(rescued, charged)
    return rescued


@transactional
def release(tasks: TaskQuerySet, actor: str) -> list[Task]:
    """Take tasks that are being processed from a worker that is stopped on purpose: no attempt is used."""
    released, now = _lock(tasks.processing()), database_now()
    outcomes = [Outcome(task.pk, task.present_lease, A.RELEASE) for task in released]
    ends = zip(released, outcomes, strict=True)
    _end([(task, outcome, changes.ended(task, outcome, now)) for task, outcome in ends], now, actor)
    return released


def prune(tasks: QuerySet[Task], limit: int) -> int:
    """Delete up to `limit` tasks that are over, with their attempts and logs. Returns how many."""
    over = list(tasks.values_list("pk", flat=True)[:limit])
    return _prune(tasks.filter(pk__in=over)) if over else 0


@transactional
def _prune(tasks: QuerySet[Task]) -> int:
    """Under the lock they must still be what was asked for: one of them may have been resurrected meanwhile."""
    over = _lock(tasks)
    Task.objects.filter(pk__in=[task.pk for task in over]).delete()
    events.forget(over)
    return len(over)


def promote(limit: int = 1000) -> int:
    """Mark waiting tasks whose `run_at` has come as ready to be claimed. Returns how many."""
    until_due = seconds_until_due()
    if until_due is None or until_due > 0:
        return 0
    waiting, now = NOT_READY[connection.vendor], NOW[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE tasks_task SET ready = TRUE WHERE NOT ready AND status IN {WAITING_SQL} AND id IN "  # noqa: S608 - our own words
            f"(SELECT id FROM {waiting} AND run_at <= {now} ORDER BY run_at LIMIT %s)",
            [limit],
        )
        return cursor.rowcount


def seconds_until_due() -> float | None:
    """Until the next `run_at` comes, negative when it has. None when nothing waits for its time."""
    waiting, left = NOT_READY[connection.vendor], LEFT[connection.vendor]
    rows = execute(f"SELECT {left} FROM {waiting} ORDER BY run_at LIMIT 1").fetchall()  # noqa: S608 - our own words
    return rows[0][0] if rows else None


# Idle workers ask this often. SQLite would choose an index that holds every waiting task, and read all of them.
WAITING_SQL = "({})".format(", ".join(f"'{status}'" for status in sorted(WAITING)))
NOT_READY = {
    # Said in both ways: SQLite takes a partial index for its very words, and Django 5.2 and 6.1 write them differently.
    "sqlite": f"tasks_task INDEXED BY task_not_ready WHERE ready = 0 AND NOT ready AND status IN {WAITING_SQL}",
    "postgresql": f"tasks_task WHERE NOT ready AND status IN {WAITING_SQL}",
}
# As Django writes a time for SQLite, which compares it as text: with six digits, of which three are known.
NOW = {"sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f000', 'now')", "postgresql": "clock_timestamp()"}
LEFT = {
    "sqlite": "(julianday(run_at) - julianday('now')) * 86400",
    "postgresql": "EXTRACT(EPOCH FROM run_at - clock_timestamp())::float",
}


# -- the operator's verbs ------------------------------------------------------------------------------------------


def retry(task_id: uuid.UUID, actor: str) -> Task:
    """Run a failed task now instead of at its `run_at`."""
    return operate(Task.objects.filter(pk=task_id), A.RETRY, actor).only


def resurrect(task_id: uuid.UUID, actor: str) -> Task:
    """Give a dead-lettered or canceled task a new life, with its whole budget of attempts."""
    return operate(Task.objects.filter(pk=task_id), A.RESURRECT, actor).only


def cancel(task_id: uuid.UUID, actor: str) -> Task:
    """End a task; of one that runs, ask its handler to stop at the next checkpoint."""
    return operate(Task.objects.filter(pk=task_id), A.CANCEL, actor).only


def pause(task_id: uuid.UUID, actor: str) -> Task:
    """Hold a task; of one that runs, ask its handler to stop at the next checkpoint."""
    return operate(Task.objects.filter(pk=task_id), A.PAUSE, actor).only


def resume(task_id: uuid.UUID, actor: str) -> Task:
    """Let a paused task go on, at its old `run_at`."""
    return operate(Task.objects.filter(pk=task_id), A.RESUME, actor).only


DECISIONS: dict[Actions, Callable[[Task, dt.datetime], Change]] = {
    A.RETRY: changes.retried,
    A.RESURRECT: changes.resurrected,
    A.CANCEL: changes.canceled,
    A.PAUSE: changes.paused,
    A.RESUME: changes.resumed,
}


@dataclass(frozen=True, slots=True)
class Operated:
    """What came of a verb: tasks that changed, each behind how it stood before, and those that refused, with why."""

    changed: list[tuple[str, Task]]
    refused: list[tuple[Task, Conflict]]

    @property
    def only(self) -> Task:
        """The task, when one was asked for. Raises its `Conflict`, and `Task.DoesNotExist`."""
        for _, conflict in self.refused:
            raise conflict
        if not self.changed:
            raise Task.DoesNotExist
        return self.changed[0][1]


@transactional
def operate(tasks: QuerySet[Task], action: Actions, actor: str) -> Operated:
    """Do an operator's `action` to each of `tasks` whose state allows it: one refusal stops nothing."""
    locked, now = list(tasks.select_for_update(of=("self",)).order_by("pk")), database_now()
    due: list[tuple[Task, Change]] = []
    refused: list[tuple[Task, Conflict]] = []
    for task in locked:
        try:
            due.append((task, DECISIONS[action](task, now)))
        except Conflict as conflict:
            refused.append((task, conflict))
    before = [task.standing for task, _ in due]
    _write_or_end(due, now, actor)
    return Operated([(stood, task) for stood, (task, _) in zip(before, due, strict=True)], refused)


# -- locking and writing -------------------------------------------------------------------------------------------


# What no change depends on, and may be large.
UNREAD = (
    "payload",
    "tags",
    "callback_url",
    "callback_method",
    "callback_headers",
    "state",
    "result",
    "progress_message",
)


def _lock(tasks: QuerySet[Task]) -> list[Task]:
    """Lock the rows in the order of their ids: two transactions that want the same rows never wait in a circle."""
    return list(tasks.select_for_update().order_by("pk").defer(*UNREAD))


def _held(leases: dict[uuid.UUID, uuid.UUID]) -> list[Task]:
    """The tasks that are still held under the lease that is given for them, locked."""
    return [task for task in _lock(Task.objects.filter(pk__in=leases)) if task.lease == leases[task.pk]]


def _still_held(outcomes: dict[uuid.UUID, Outcome]) -> tuple[list[Task], dt.datetime]:
    """As `_held`, and the moment. A task that nothing has touched since its attempt began is not read again: its worker
    has it."""
    with one_trip():
        locked, now = execute(_versions(connection.vendor), [listed(outcomes, connection.vendor)]), asked_now()
    versions = {id if isinstance(id, uuid.UUID) else uuid.UUID(id): version for id, version in locked.fetchall()}
    unchanged = {
        id: outcome.task
        for id, outcome in outcomes.items()
        if outcome.task and outcome.task.lease == outcome.lease and outcome.task.version == versions.get(id)
    }
    changed = {id: outcomes[id].lease for id in versions if id not in unchanged}
    return [*unchanged.values(), *(_held(changed) if changed else ())], now()


@functools.cache
def _versions(vendor: str) -> str:
    locked = "FOR UPDATE" if vendor == "postgresql" else ""
    return f"SELECT id, version FROM tasks_task WHERE id {among(vendor)} ORDER BY id {locked}"  # noqa: S608 - our own names


def _write(pairs: Sequence[tuple[Task, Change]], now: dt.datetime, actor: str, ended: Sequence[Attempt] = ()) -> None:
    """Write each change to its row, to the task in hand and to the log, and the attempts that have ended by it."""
    if not pairs:
        return
    with one_trip():
        insert(ended)
        swaps = _update(pairs, now)
        failpoints.reach("change.written")
        events.append([_apply(task, change, now, actor) for task, change in pairs])
    if sum(swap.rowcount for swap in swaps) != len(pairs):
        raise Conflict("Somebody else was faster to change the task.")


def _update(pairs: Sequence[tuple[Task, Change]], now: dt.datetime) -> list[Any]:
    """A compare-and-swap: the rows are locked, and still they must be in the state that the change was decided on.

    Equal changes are one statement; what differs in values only is sent in one go. Returns the cursors that count.
    """
    alike: defaultdict[bytes, list[tuple[Task, Change]]] = defaultdict(list)
    for task, change in pairs:
        alike[msgspec.json.encode((task.status, change.status, change.fields))].append((task, change))
    database = connections[DEFAULT_DB_ALIAS]
    rows: defaultdict[tuple[str, ...], list[list[Any]]] = defaultdict(list)
    for group in alike.values():
        (first, change), ids = group[0], listed((task.pk for task, _ in group), database.vendor)
        fields = {**change.fields, "status": change.status, "updated_at": now}
        values = [driver_value(Task, name, value, database) for name, value in fields.items()]
        rows[tuple(fields)].append([*values, first.status, ids])
    return [execute_each(_swap(names, database.vendor), parameters) for names, parameters in rows.items()]


@functools.cache
def _swap(names: tuple[str, ...], vendor: str) -> str:
    """Through the ORM the statement would cost more than its execution.

    The status is said so that no index can answer it: a planner without fresh statistics would read a whole backlog.
    """
    places = ", ".join(f"{column_of(Task, name)} = %s" for name in names)
    status = "status IS NOT DISTINCT FROM %s" if vendor == "postgresql" else "+status = %s"
    return f"UPDATE tasks_task SET {places}, version = version + 1 WHERE {status} AND id {among(vendor)}"  # noqa: S608 - our own names


def _apply(task: Task, change: Change, now: dt.datetime, actor: str) -> TaskEvent:
    """Bring the task in hand up to date with its row, and return the log's row for it."""
    previous, task.status = task.status, change.status
    task.version += 1
    task.updated_at = now
    for name, value in change.fields.items():
        setattr(task, name, value)
    return events.event_of(task, change.type, now, actor, change.action or "", previous, change.message, change.data)


# -- attempts ------------------------------------------------------------------------------------------------------

LEFT_AS: dict[str, Outcomes] = {States.CANCELED: Outcomes.CANCELED, States.PAUSED: Outcomes.PAUSED}
ENDED_AS = {
    A.COMPLETE: Outcomes.COMPLETED,
    A.FAIL: Outcomes.FAILED,
    A.BURY: Outcomes.FAILED,
    A.SNOOZE: Outcomes.SNOOZED,
    A.RELEASE: Outcomes.RELEASED,
    A.RESCUE: Outcomes.LOST,
}


def _end(ends: Sequence[tuple[Task, Outcome, Change]], now: dt.datetime, actor: str) -> None:
    """Write the ends of attempts: a row for each attempt, and the change of its task."""
    ended = [_attempt(task, change, outcome, now) for task, outcome, change in ends]
    _write([(task, change) for task, _, change in ends], now, actor, ended)


def _write_or_end(pairs: Sequence[tuple[Task, Change]], now: dt.datetime, actor: str) -> None:
    """Changes that may end attempts of deferred callbacks, which no worker will record."""
    ends = [(task, change) for task, change in pairs if task.lease and change.status != States.PROCESSING]
    _end([(task, Outcome(task.pk, task.present_lease, A.CANCEL), change) for task, change in ends], now, actor)
    _write([pair for pair in pairs if pair not in ends], now, actor)


def _attempt(task: Task, change: Change, outcome: Outcome, now: dt.datetime) -> Attempt:
    return new(
        Attempt,
        id=None,
        task_id=task.pk,
        number=task.tries,
        outcome=LEFT_AS.get(change.status) or ENDED_AS[outcome.action],
        worker_id=task.worker_id,
        lease=task.lease,
        started_at=change.fields.get("started_at", task.started_at),
        finished_at=now,
        error=outcome.error,
        response=outcome.response,
        late=None,
    )


def _keep_late(task_ids: Iterable[uuid.UUID], outcomes: dict[uuid.UUID, Outcome]) -> None:
    """Note on the attempt what its worker said after the lease was lost. The task itself knows nothing of it."""
    for task_id in task_ids:
        outcome = outcomes[task_id]
        late = {"action": str(outcome.action), "result": outcome.result, "error": outcome.error}
        ended = Attempt.objects.filter(task_id=task_id, lease=outcome.lease)
        # A worker whose commit nobody could confirm says the same again: that came in time.
        for attempt in ended.exclude(outcome=ENDED_AS[outcome.action]):
            if attempt.late is None:
                tallies.stale(attempt, outcome.action)
            attempt.late = late
            attempt.save(update_fields=["late"])
