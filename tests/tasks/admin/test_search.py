"""Finding tasks and events by what is written in them, and what must not be found."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tasks.admin import search
from tasks.admin.search import as_uuid, newest, search_events, search_tasks
from tasks.models import Task, TaskEvent
from tasks.states import Actions
from tests.factories import claim, end, make_task

pytestmark = pytest.mark.django_db
LIST = "admin:tasks_task_changelist"


def found(text: str) -> set:
    return set(search_tasks(Task.objects.all(), text))


@pytest.fixture
def task():
    task = make_task(payload={"value": "Zürich 2026-11"}, tags=["monthly", "eu"])
    make_task("completed", payload={"value": "other"})
    error = {"type": "ConnectionError", "detail": 'no "route" to host', "fingerprint": "f" * 16}
    return end(claim(task), Actions.BURY, error=error)


@pytest.mark.parametrize(
    "text",
    [
        "Zürich",
        "zürich",
        "2026-11",
        "value zürich",
        "monthly",
        "ConnectionError",
        "route",
        '"to host"',
        'no "to host" eu',
    ],
)
def test_words_are_found_wherever_they_are_shown(task, text):
    assert found(text) == {task}


@pytest.mark.parametrize("text", ["nowhere", "zürich nowhere", '"host to"', "%", "_", "\\"])
def test_all_words_must_be_there(task, text):
    assert found(text) == set()


def test_the_id_or_its_end_is_enough(task):
    assert found(str(task.pk)) == found(f" {task.pk.hex} ") == {task}
    assert found(str(task.pk)[-12:]) == {task}
    assert as_uuid("nothing of the kind") is None


def test_a_masked_secret_cannot_be_guessed():
    task = make_task(payload={"value": "seen"})
    Task.objects.filter(pk=task.pk).update(payload={"value": "seen", "password": "hunter2"})
    assert found("seen") == {task}
    assert found("password") == {task}
    assert found("hunter") == set()


def test_only_the_newest_are_read(monkeypatch):
    tasks = [make_task(payload={"value": "same"}) for _ in range(4)]
    monkeypatch.setattr(search, "READ", 2)
    assert found("same") == set(tasks[2:])
    monkeypatch.setattr(search, "HITS", 1)
    assert len(found("same")) == 1
    assert found(str(tasks[0].pk)) == {tasks[0]}  # by id all are


def test_the_newest_of_few_are_all():
    tasks = [make_task() for _ in range(2)]
    assert set(newest(Task.objects.all(), 2)) == set(tasks)
    assert set(newest(Task.objects.all(), 1)) == {tasks[1]}


def test_events_are_found_by_task_and_by_words(task):
    of_task = search_events(TaskEvent.objects.all(), str(task.pk))
    assert {event.task_id for event in of_task} == {task.pk}
    assert of_task.count() == 3
    assert {event.task_id for event in search_events(TaskEvent.objects.all(), "route test")} == {task.pk}


@pytest.mark.parametrize("text", ['"', "'", '" "', "\\x", "a\tb", "x" * 300, "{", "\x00"])
def test_no_text_breaks_the_list(viewer, task, text):
    assert viewer.get(reverse(LIST), {"q": text}).status_code == 200


def test_search_and_filters_go_together(viewer, task):
    page = viewer.get(reverse(LIST), {"q": "monthly", "status": "dead_lettered"})
    assert list(page.context["cl"].result_list) == [task]
    assert not viewer.get(reverse(LIST), {"q": "monthly", "status": "pending"}).context["cl"].result_list
