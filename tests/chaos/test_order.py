"""What is started first, and what is not started at all, while there is more to do than can be done."""

from __future__ import annotations

import time

from tasks.database import database_now
from tasks.models import Queue, Task
from tests.chaos.cluster import until
from tests.chaos.conftest import Hub


def test_a_paused_queue_starts_nothing(hub: Hub):
    """Neither one that was paused before, nor one that is paused while a worker holds a batch of its tasks."""
    Queue.objects.create(name="held", paused_at="2026-01-01T00:00:00Z")
    held = hub.submit("chaos.work", 3, _queue="held")
    hub.submit("chaos.work", 100, _queue="long")  # quick, so that many are claimed at once
    hub.cluster(workers=1).start()
    until(lambda: len(hub.effects.read()) > 50, "some of the backlog")
    hub.submit("chaos.work", 25, seconds=0.2, _queue="long")
    until(lambda: len(hub.effects.read()) > 103, "the slow ones")
    Queue.objects.create(name="long", paused_at=database_now())
    time.sleep(1)
    begun = len(hub.effects.read())
    (other,) = hub.submit("chaos.work", seconds=1)
    until(lambda: Task.objects.filter(pk=other.pk, status="completed").exists(), "a task of another queue")
    assert len(hub.effects.read()) == begun + 1
    Queue.objects.filter(name="long").update(paused_at=None)
    until(lambda: hub.left() == len(held), "all that is not paused")
    assert set(Task.objects.filter(queue="held").values_list("status", "version")) == {("pending", 1)}


def test_an_urgent_task_waits_for_no_batch(hub: Hub):
    """The worker has claimed many ahead, since they used to be quick; at most the one that is starting goes first."""
    hub.submit("chaos.work", 300)
    hub.cluster(workers=1).start()
    until(lambda: hub.left() < 50, "a worker that is used to quick tasks")
    hub.submit("chaos.work", 50, seconds=0.5)
    until(lambda: len(hub.effects.read()) > 301, "the slow ones")
    submitted = time.monotonic()
    (urgent,) = hub.submit("chaos.work", _priority=100)
    until(lambda: Task.objects.filter(pk=urgent.pk, status="completed").exists(), "the urgent one")
    runs = hub.effects.read()
    (its,) = (run for run in runs if run.task_id == urgent.pk)
    assert sum(submitted < run.began < its.began for run in runs) <= 1
    assert hub.left() > 40
