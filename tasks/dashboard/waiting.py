"""Why a task that is due has not started: one sentence, the first cause that holds. Reading only, at a bounded cost."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from tasks import registry
from tasks.database import database_now
from tasks.exceptions import InvalidTask
from tasks.models import Queue, Task, Worker
from tasks.states import WAITING

COUNTED = 1000  # tasks ahead, of more we only say so


def reason(task: Task) -> str:
    """Empty when the task is not waiting, or when it waits for its time."""
    now = database_now()
    if task.status not in WAITING or task.run_at > now:
        return ""
    if Queue.objects.filter(name=task.queue, paused_at__isnull=False).exists():
        return f"The queue {task.queue} is paused: nothing in it starts until somebody resumes it."
    try:
        role = _role(task)
    except InvalidTask:
        return f"No handler called {task.name} is installed: it starts when a worker has one."
    workers = Worker.objects.filter(role=role, stopped_at=None, lost_at=None, expires_at__gt=now)
    online = workers.count()
    if not online:
        return "No worker that could run it is online."
    if ahead := _ahead(task)[:COUNTED].count():
        return f"Due tasks ahead of it: {ahead}{' or more' * (ahead == COUNTED)}."
    if workers.filter(idle_since=None).count() == online:
        return f"It is next. Workers that could run it, all busy: {online}."
    return ""


def _role(task: Task) -> str:
    """Of the workers that run it. Raises `InvalidTask` when its handler is unknown."""
    in_loop = task.is_callback or registry.find(task.name).is_async
    return Worker.Roles.LOOP if in_loop else Worker.Roles.PLAIN


def _ahead(task: Task) -> QuerySet[Task]:
    """Tasks that are claimed before it: more urgent ones, and older ones of the same priority."""
    same = Q(priority=task.priority)
    older = Q(run_at__lt=task.run_at) | Q(run_at=task.run_at, id__lt=task.pk)
    return Task.objects.ready().filter(Q(priority__gt=task.priority) | (same & older))
