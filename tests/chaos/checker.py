"""The verdict over what was acknowledged, what really ran and what the database tells. Every number must be 0."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from uuid import UUID

from tasks import counts
from tasks.models import Attempt, Task, TaskEvent
from tasks.states import FINISHED, INITIAL, TABLE, Actions, States
from tests.chaos.evidence import Run


@dataclass
class Verdict:
    lost: int = 0  # acknowledged, and not there or not over
    dup_transition: int = 0  # an attempt that ended twice, or a try that was claimed twice
    overlap: int = 0  # two attempts of one task that were both accepted as its completion
    zombie_applied: int = 0  # a result that is not of the attempt that was accepted
    attempt_over_max: int = 0
    illegal_edge: int = 0  # a step that the table does not have, or that does not begin where the last one ended
    event_gap: int = 0  # a version without its row in the log
    unexplained_run: int = 0  # a handler that ran for an attempt that was never claimed
    count_drift: int = 0  # the counts differ from what is there

    def __str__(self) -> str:
        return " ".join(f"{name}={number}" for name, number in asdict(self).items())

    @property
    def is_clean(self) -> bool:
        return not any(asdict(self).values())


def check(acked: Iterable[UUID] = (), runs: Iterable[Run] = ()) -> Verdict:
    """Everything that the database holds, against the two logs. For a database that nobody writes to any more."""
    verdict = Verdict(count_drift=_count_drift())
    tasks = Task.objects.in_bulk()
    verdict.lost = sum(task_id not in tasks or tasks[task_id].status not in FINISHED for task_id in acked)
    histories: defaultdict[UUID | None, list[TaskEvent]] = defaultdict(list)
    for event in TaskEvent.objects.order_by("task_id", "version"):
        histories[event.task_id].append(event)
    attempts: defaultdict[UUID, list[Attempt]] = defaultdict(list)
    for attempt in Attempt.objects.order_by("number"):
        attempts[attempt.task_id].append(attempt)
    ran: defaultdict[UUID, list[Run]] = defaultdict(list)
    for run in runs:
        ran[run.task_id].append(run)
    for task in tasks.values():
        _check_history(task, histories[task.pk], verdict)
        _check_attempts(task, histories[task.pk], attempts[task.pk], verdict)
        _check_runs(task, attempts[task.pk], ran[task.pk], verdict)
    return verdict


def _check_history(task: Task, events: list[TaskEvent], verdict: Verdict) -> None:
    versions = [event.version for event in events]
    verdict.event_gap += versions != list(range(1, task.version + 1))
    before = None
    for event in events:
        verdict.illegal_edge += not _is_legal(event, before)
        verdict.attempt_over_max += event.attempt > task.max_attempts
        before = event.status
    verdict.illegal_edge += task.status != before


def _is_legal(event: TaskEvent, before: str | None) -> bool:
    if event.previous_status != before:
        return False
    if before is None:
        return event.status == INITIAL
    if not event.action:  # progress, a request or a deferral: no step
        return event.status == before
    return TABLE[Actions(event.action)].get(States(before)) == event.status


def _check_attempts(task: Task, events: list[TaskEvent], attempts: list[Attempt], verdict: Verdict) -> None:
    claims = sum(event.action == Actions.CLAIM for event in events)
    ends = sum(event.previous_status == States.PROCESSING != event.status for event in events)
    numbers = [attempt.number for attempt in attempts]
    running = task.status == States.PROCESSING
    verdict.dup_transition += claims != task.tries
    verdict.dup_transition += ends != claims - running
    verdict.dup_transition += numbers != list(range(1, task.tries + 1 - running))
    verdict.overlap += sum(attempt.outcome == Attempt.Outcomes.COMPLETED for attempt in attempts) > 1


def _check_runs(task: Task, attempts: list[Attempt], runs: list[Run], verdict: Verdict) -> None:
    """What was accepted was said by the run of that very try."""
    by_run = {run.run: run for run in runs}
    accepted = [attempt.number for attempt in attempts if attempt.outcome == Attempt.Outcomes.COMPLETED]
    said = by_run.get((task.result or {}).get("run", "")) if isinstance(task.result, dict) else None
    if accepted and runs:
        verdict.zombie_applied += said is None or said.number != accepted[-1]
    verdict.unexplained_run += sum(run.number > task.tries for run in runs)
    twice = Counter(run.number for run in runs)
    verdict.dup_transition += sum(n > 1 for n in twice.values())


def _count_drift() -> int:
    real = Counter(Task.objects.values_list("queue", "status"))
    counted = counts.totals()
    return sum(real[key] != counted[key] for key in {*real, *counted})
