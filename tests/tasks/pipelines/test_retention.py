"""Pipelines are deleted with all their tasks, some time after they were over."""

from __future__ import annotations

import datetime as dt

import pytest

from tasks import counts, lifecycle
from tasks.database import database_now
from tasks.models import Pipeline, Step, Task
from tasks.pipelines.retention import prune
from tasks.states import Actions
from tests.tasks.pipelines.factories import begin, make_pipeline, run, task_of

pytestmark = pytest.mark.django_db


def age(pipeline, days=31):
    Pipeline.objects.filter(pk=pipeline.pk).update(finished_at=database_now() - dt.timedelta(days=days))


def test_what_is_over_goes_with_its_tasks_and_their_counts():
    pipeline = make_pipeline()
    run(pipeline, "extract", "load")
    age(pipeline)
    assert prune() == 1
    assert not Task.objects.exists()
    assert not Step.objects.exists()
    assert counts.totals().total() == 0


def test_what_is_young_or_not_over_stays():
    young, live = make_pipeline(), make_pipeline()
    run(young, "extract", "load")
    age(young, days=29)
    begin(live, "extract")
    assert prune() == 0
    assert Pipeline.objects.count() == 2


def test_dead_letters_are_kept():
    pipeline = make_pipeline()
    run(pipeline, "extract", action=Actions.BURY)
    age(pipeline)
    assert prune() == 0


def test_a_step_never_goes_before_its_pipeline():
    pipeline = make_pipeline()
    run(pipeline, "extract")
    old = Task.objects.filter(pk=task_of(pipeline, "extract").pk)
    assert not Task.objects.expired(database_now() + dt.timedelta(days=1)).exists()
    lifecycle.cancel(task_of(pipeline, "load").pk, "alice")
    assert old.exists()
