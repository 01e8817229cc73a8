"""The checker bites: each of its findings is seen in a database into which the defect was put by hand."""

from __future__ import annotations

import uuid

import pytest

from tasks.models import Attempt, QueueCount, Task, TaskEvent
from tasks.states import Actions
from tests.chaos.checker import Verdict, check
from tests.chaos.evidence import Run
from tests.factories import claim, end, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def task() -> Task:
    """It failed once, was tried again, and completed."""
    task = make_task("failed")
    Task.objects.filter(pk=task.pk).update(run_at=task.created_at, ready=True)
    return end(claim(task), Actions.COMPLETE, result={"run": "second"})


def runs(task: Task, *numbers: int) -> list[Run]:
    names = {1: "first", 2: "second"}
    return [Run(task.pk, number, number, names.get(number, str(number)), 1, 0.0, 1.0) for number in numbers]


def found(*names: str) -> Verdict:
    return Verdict(**dict.fromkeys(names, 1))


def test_an_honest_history_is_clean(task):
    assert check([task.pk], runs(task, 1, 2)).is_clean


def test_lost_what_is_not_there_or_not_over(task):
    assert check([task.pk, uuid.uuid4()], runs(task, 1, 2)) == found("lost")
    assert check([make_task().pk]) == found("lost")


def test_dup_transition_an_attempt_that_ended_twice(task):
    Attempt.objects.create(task=task, number=3, outcome="failed", finished_at=task.created_at)
    assert check() == found("dup_transition")


def test_dup_transition_a_try_that_ran_twice(task):
    assert check([], runs(task, 1, 2, 2)) == found("dup_transition")


def test_overlap_two_attempts_that_were_both_accepted(task):
    Attempt.objects.filter(number=1).update(outcome="completed")
    assert check() == found("overlap")


def test_zombie_applied_the_result_of_another_run(task):
    Task.objects.update(result={"run": "first"})
    assert check([], runs(task, 1, 2)) == found("zombie_applied")
    Task.objects.update(result={"run": "nobody's"})
    assert check([], runs(task, 1, 2)) == found("zombie_applied")


def test_attempt_over_max(task):
    TaskEvent.objects.filter(version=4).update(attempt=99)
    assert check() == found("attempt_over_max")


def test_illegal_edge_a_step_that_the_table_does_not_have(task):
    TaskEvent.objects.filter(version=3).update(action="resume")
    assert check() == found("illegal_edge")


def test_illegal_edge_a_step_from_where_the_task_was_not(task):
    TaskEvent.objects.filter(version=4).update(previous_status="pending")
    assert check().illegal_edge == 1


def test_event_gap(task):
    Task.objects.update(version=6)
    assert check() == found("event_gap")


def test_unexplained_run(task):
    assert check([], runs(task, 1, 2, 3)) == found("unexplained_run")


def test_count_drift(task):
    QueueCount.objects.create(queue="default", status="pending", n=1)
    assert check() == found("count_drift")
