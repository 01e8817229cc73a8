"""Dead letters by what killed them: how many there are of each error, since when, and how it goes. Only reads.

One pass over an index that holds the dead letters alone (`task_dead`); the rest of the table is never touched.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from django.db.models import Count, Max, Min, Q
from django.utils import timezone

from tasks.models import Task
from tasks.models.tasks import TaskQuerySet

DAYS = 14  # of the trend, today included


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """The dead letters of one error. `trend` counts them by day (UTC), the last is today; `sample` is the newest."""

    fingerprint: str
    count: int
    first: dt.datetime
    last: dt.datetime
    trend: list[int]
    sample: Task


def groups(tasks: TaskQuerySet, start: int = 0, stop: int = 50) -> list[ErrorGroup]:
    """The groups of `tasks` from `start` to before `stop`, the one that grew last first."""
    return _complete(tasks, list(_summaries(tasks)[start:stop]))


def group(tasks: TaskQuerySet, fingerprint: str) -> ErrorGroup | None:
    """One group; None when nothing lies dead of that error."""
    found = _complete(tasks, list(_summaries(tasks.filter(fingerprint=fingerprint))))
    return found[0] if found else None


def dead(tasks: TaskQuerySet) -> TaskQuerySet:
    """Those that are dead, said as the index says it."""
    return tasks.dead_lettered().filter(finished_at__isnull=False)


def _summaries(tasks: TaskQuerySet) -> Any:
    return (
        dead(tasks)
        .order_by()
        .values("fingerprint")
        .annotate(count=Count("fingerprint"), first=Min("finished_at"), last=Max("finished_at"))
        .order_by("-last", "fingerprint")
    )


def _complete(tasks: TaskQuerySet, summaries: list[dict[str, Any]]) -> list[ErrorGroup]:
    if not summaries:
        return []
    trends = _trends(tasks, [summary["fingerprint"] for summary in summaries])
    samples = _samples(tasks, summaries)
    return [
        ErrorGroup(**summary, trend=trends.get(key, [0] * DAYS), sample=samples[key])
        for summary in summaries
        if (key := summary["fingerprint"]) in samples  # else it was resurrected while we looked
    ]


def _trends(tasks: TaskQuerySet, fingerprints: Iterable[str]) -> dict[str, list[int]]:
    today = timezone.now().astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    edges = [today - dt.timedelta(days=ago) for ago in range(DAYS - 1, -2, -1)]
    days = {
        f"day{n}": Count("fingerprint", filter=Q(finished_at__gte=start, finished_at__lt=end))
        for n, (start, end) in enumerate(pairwise(edges))
    }
    recent = dead(tasks).filter(fingerprint__in=fingerprints, finished_at__gte=edges[0])
    rows = recent.order_by().values("fingerprint").annotate(**days)
    return {row["fingerprint"]: [row[day] for day in days] for row in rows}  # type: ignore[literal-required]


def _samples(tasks: TaskQuerySet, summaries: list[dict[str, Any]]) -> dict[str, Task]:
    """The newest of each group; a batch that died at one moment has several, and any of them will do."""
    died = dead(tasks).filter(
        fingerprint__in=[summary["fingerprint"] for summary in summaries],
        finished_at__in=[summary["last"] for summary in summaries],
    )
    found = died.only("name", "error", "fingerprint").order_by("finished_at")
    return {task.fingerprint: task for task in found}
