"""What is written to the log, and to the counts beside it."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from tasks import events
from tasks.database import database_now
from tasks.models import QueueCount, Task, TaskEvent
from tasks.signals import log_written, task_changed
from tests.factories import make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def heard():
    """The events that a receiver of the signal got."""
    events: list[TaskEvent] = []

    def hear(event: TaskEvent, **_: object) -> None:
        events.append(event)

    task_changed.connect(hear)
    yield events
    task_changed.disconnect(hear)


def counted() -> list[tuple[str, str, int]]:
    return sorted(QueueCount.objects.values_list("queue", "status", "n"))


def row(task: Task, previous: str | None, status: str, version: int) -> TaskEvent:
    task.version, task.status = version, status
    return events.event_of(task, TaskEvent.Types.UPDATED, database_now(), "test", previous_status=previous)


def test_a_row_repeats_what_its_readers_need(alice):
    task = make_task("processing", owner=alice, queue="reports")
    event = events.event_of(
        task, TaskEvent.Types.UPDATED, database_now(), "test", message="hello", data={"error": None}
    )
    assert (event.task_id, event.version, event.status, event.attempt) == (task.id, 2, "processing", 1)
    assert (event.name, event.queue, event.owner_id) == ("test.echo", "reports", alice.pk)
    assert (event.message, event.data) == ("hello", {"error": None})


def test_one_set_of_counts_is_added_for_a_transaction():
    one, other = make_task(), make_task(queue="reports")
    QueueCount.objects.all().delete()
    events.append(
        [row(one, "pending", "processing", 2), row(one, "processing", "failed", 3), row(other, "pending", "paused", 2)]
    )
    assert counted() == [
        ("default", "failed", 1),
        ("default", "pending", -1),
        ("reports", "paused", 1),
        ("reports", "pending", -1),
    ]


def test_what_changes_no_status_changes_no_count():
    task = make_task("processing")
    QueueCount.objects.all().delete()
    events.append([row(task, "processing", "processing", 3)])
    assert counted() == []


def test_a_version_is_written_once():
    task = make_task()
    events.append([row(task, "pending", "paused", 2)])
    with pytest.raises(IntegrityError), transaction.atomic():
        events.append([row(task, "paused", "pending", 2)])


def test_rows_are_announced_in_their_order_after_the_commit(heard, django_capture_on_commit_callbacks):
    task = make_task()
    with django_capture_on_commit_callbacks(execute=True):
        rows = [row(task, "pending", "paused", 2), row(task, "paused", "pending", 3)]
        events.append(rows)
        assert heard == []
    assert heard == rows
    assert [event.version for event in heard] == [2, 3]


def test_what_was_written_together_is_told_together_too(django_capture_on_commit_callbacks):
    heard = []
    log_written.connect(lambda events, **_: heard.append(events), weak=False, dispatch_uid="test")
    try:
        with django_capture_on_commit_callbacks(execute=True):
            task = make_task()
            rows = [row(task, "pending", "paused", 2), row(task, "paused", "pending", 3)]
            events.append(rows)
    finally:
        log_written.disconnect(dispatch_uid="test")
    assert [len(rows) for rows in heard] == [1, 2]
    assert heard[1] == rows


def test_a_receiver_that_fails_harms_nobody(heard, django_capture_on_commit_callbacks):
    def broken(**_: object) -> None:
        raise ZeroDivisionError

    task_changed.connect(broken)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            make_task()
    finally:
        task_changed.disconnect(broken)
    assert [event.status for event in heard] == ["pending"]
