"""The verbs as people use them, through whichever door: each is done and put on record in one transaction."""

from __future__ import annotations

import uuid
from collections import defaultdict
from typing import Any

from tasks import audit, lifecycle
from tasks.database import transactional
from tasks.lifecycle import Operated
from tasks.models import Pipeline, Task
from tasks.models.tasks import TaskQuerySet
from tasks.pipelines import verbs
from tasks.states import Actions

PIPELINE_VERBS = {
    Actions.RETRY: verbs.retry,
    Actions.CANCEL: verbs.cancel,
    Actions.PAUSE: verbs.pause,
    Actions.RESUME: verbs.resume,
}


def operate(task_id: uuid.UUID, action: Actions, user: Any) -> Task:
    """One task. Raises `Task.DoesNotExist`, and `Conflict` when its state does not allow it."""
    return operate_all(Task.objects.filter(pk=task_id), action, user).only


@transactional
def operate_all(tasks: TaskQuerySet, action: Actions, user: Any) -> Operated:
    """Each of `tasks` whose state allows it: one refusal stops nothing. All of them are locked, so name few at once."""
    done = lifecycle.operate(tasks, action, user.get_username())
    alike: defaultdict[str, list[Task]] = defaultdict(list)
    for before, task in done.changed:
        alike[f"{action}: {before} → {task.standing}"].append(task)
    for message, changed in alike.items():
        audit.record(user, changed, message)
    return done


@transactional
def operate_pipeline(pipeline_id: uuid.UUID, action: Actions, user: Any) -> Pipeline:
    """Raises `Pipeline.DoesNotExist`, and `Conflict` when its status does not allow it."""
    before = Pipeline.objects.select_for_update().only("status").get(pk=pipeline_id).status
    pipeline = PIPELINE_VERBS[action](pipeline_id, user.get_username())
    audit.record(user, [pipeline], f"{action}: {before} → {pipeline.status}")
    return pipeline
