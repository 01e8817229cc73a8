"""When a pipeline is deleted: with all its tasks, some time after it was over. One with dead letters is kept."""

from __future__ import annotations

import datetime as dt

from django.conf import settings

from tasks import lifecycle
from tasks.database import database_now, transactional
from tasks.models import Pipeline, Step, Task

AT_ONCE = 20  # pipelines


def prune() -> int:
    """A sweep. Returns how many pipelines were deleted."""
    before = database_now() - dt.timedelta(days=settings.TASKHUB_RETENTION_DAYS)
    ids = list(Pipeline.objects.expired(before).values_list("pk", flat=True)[:AT_ONCE])
    return _delete(ids, before) if ids else 0


@transactional
def _delete(ids: list, before: dt.datetime) -> int:
    """Somebody may have resurrected a step meanwhile."""
    expired = Pipeline.objects.expired(before).select_for_update().filter(pk__in=ids)
    locked = [pipeline.pk for pipeline in expired.order_by("pk").only("pk")]
    Step.objects.filter(pipeline__in=locked).delete()
    tasks = Task.objects.filter(pipeline__in=locked)
    while lifecycle.prune(tasks, limit=1000):
        pass
    return Pipeline.objects.filter(pk__in=locked).delete()[0]
