"""Storing a new pipeline: all of it or nothing, and once."""

from __future__ import annotations

import pytest
from django.db import transaction

from tasks.exceptions import InvalidTask, KeyReused
from tasks.models import Pipeline, Step, Task, TaskEvent
from tasks.pipelines.submission import submit
from tests.tasks.pipelines.factories import step

pytestmark = pytest.mark.django_db

BODY = {"name": "nightly", "steps": [step("a"), step("b")]}


def test_it_is_stored_with_the_tasks_of_its_first_steps(alice):
    pipeline = submit(BODY, alice)
    assert (pipeline.owner, Step.objects.count(), Task.objects.get().step) == (alice, 2, "a")
    assert TaskEvent.objects.get().actor == "alice"


def test_a_wrong_one_leaves_nothing():
    with pytest.raises(InvalidTask):
        submit(BODY | {"steps": [step("a"), step("a")]})
    assert not Pipeline.objects.exists()


def test_it_rolls_back_with_its_transaction():
    with transaction.atomic():
        submit(BODY)
        transaction.set_rollback(True)
    assert not Pipeline.objects.exists()
    assert not Task.objects.exists()


def test_the_same_key_gives_the_first_one():
    first, again = (submit(BODY, idempotency_key="k") for _ in range(2))
    assert first.pk == again.pk
    assert Pipeline.objects.count() == 1
    with pytest.raises(KeyReused):
        submit(BODY | {"name": "other"}, idempotency_key="k")
