"""What people do is on record, whichever door they came through: who, what, before and after."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry

from tasks import lifecycle, operations
from tasks.exceptions import Conflict
from tasks.models import Pipeline, Task, TaskEvent
from tasks.pipelines import verbs
from tasks.states import TABLE, Actions, States
from tests.factories import claim, make_task
from tests.tasks.pipelines.factories import make_pipeline

pytestmark = pytest.mark.django_db


def records() -> list[tuple[str, str, str]]:
    return list(LogEntry.objects.order_by("id").values_list("user__username", "object_id", "change_message"))


@pytest.mark.parametrize("status", States.values)
@pytest.mark.parametrize("action", lifecycle.DECISIONS)
def test_each_verb_is_done_and_recorded_or_neither(action, status, alice):
    task = make_task(status)
    if status not in TABLE[action]:
        with pytest.raises(Conflict, match=f"Cannot {action} a task that is {status}"):
            operations.operate(task.pk, action, alice)
        assert records() == []
        return
    after = operations.operate(task.pk, action, alice)
    assert records() == [("alice", str(task.pk), f"{action}: {status} → {after.standing}")]
    event = TaskEvent.objects.filter(task_id=task.pk).latest("version")
    assert (event.actor, event.previous_status, event.status) == ("alice", status, after.status)


def test_a_request_to_a_running_task_says_so(alice):
    task = claim(make_task())
    operations.operate(task.pk, Actions.PAUSE, alice)
    operations.operate(task.pk, Actions.CANCEL, alice)
    assert [message for *_, message in records()] == [
        "pause: processing → processing (pause requested)",
        "cancel: processing (pause requested) → processing (cancel requested)",
    ]


def test_an_unknown_task_is_none(alice):
    with pytest.raises(Task.DoesNotExist):
        operations.operate(make_pipeline().pk, Actions.CANCEL, alice)


def test_many_are_changed_in_as_many_queries_as_few(alice, django_assert_max_num_queries):
    tasks = [make_task("dead_lettered") for _ in range(20)] + [make_task("completed")]
    with django_assert_max_num_queries(12):
        done = operations.operate_all(Task.objects.all(), Actions.RESURRECT, alice)
    assert [task.pk for _, task in done.changed] == [task.pk for task in tasks[:20]]
    assert [task.pk for task, _ in done.refused] == [tasks[20].pk]
    assert {task.status for task in Task.objects.all()} == {"pending", "completed"}
    assert len(records()) == 20


def test_a_deferred_callback_ends_among_others(alice):
    deferred, waiting = claim(make_task()), make_task()
    lifecycle.defer(deferred.pk, deferred.present_lease, 60, "test")
    operations.operate_all(Task.objects.all(), Actions.CANCEL, alice)
    assert {task.status for task in Task.objects.all()} == {"canceled"}
    assert [attempt.outcome for attempt in deferred.attempts.all()] == ["canceled"]
    assert not waiting.attempts.exists()


@pytest.mark.parametrize(
    ("action", "prepare"),
    [
        (Actions.CANCEL, None),
        (Actions.PAUSE, None),
        (Actions.RESUME, verbs.pause),
        (Actions.RETRY, verbs.cancel),
    ],
)
def test_verbs_of_pipelines_are_recorded(action, prepare, alice):
    pipeline = make_pipeline()
    if prepare:
        prepare(pipeline.pk, "test")
    before = Pipeline.objects.get(pk=pipeline.pk).status
    after = operations.operate_pipeline(pipeline.pk, action, alice)
    assert records() == [("alice", str(pipeline.pk), f"{action}: {before} → {after.status}")]


def test_a_pipelines_refusal_leaves_no_record(alice):
    with pytest.raises(Conflict):
        operations.operate_pipeline(make_pipeline().pk, Actions.RESUME, alice)
    assert records() == []
