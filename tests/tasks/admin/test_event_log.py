"""The event log: to be read, by those who see everybody's tasks."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tasks.admin import event_log
from tasks.models import TaskEvent
from tests.factories import make_task

pytestmark = pytest.mark.django_db
LIST = "admin:tasks_taskevent_changelist"


def listed(client, **query) -> list[TaskEvent]:
    return list(client.get(reverse(LIST), query).context["cl"].result_list)


def test_the_newest_event_comes_first(viewer):
    task = make_task("dead_lettered")
    assert [event.version for event in listed(viewer)] == [3, 2, 1]
    html = viewer.get(reverse(LIST)).content.decode()
    assert reverse("admin:tasks_task_change", args=[task.pk]) in html
    assert "bury" in html


def test_it_is_narrowed_by_task_action_and_status(viewer):
    task, other = make_task("dead_lettered"), make_task()
    assert {event.task_id for event in listed(viewer, q=str(task.pk))} == {task.pk}
    assert [event.task_id for event in listed(viewer, action="bury")] == [task.pk]
    assert {event.task_id for event in listed(viewer, status="pending")} == {task.pk, other.pk}


def test_a_filter_reads_the_newest_only(viewer, monkeypatch):
    make_task("dead_lettered")
    make_task()
    monkeypatch.setattr(event_log, "READ", 1)
    assert listed(viewer, action="bury") == []


def test_one_event_with_its_data(viewer):
    make_task("dead_lettered")
    event = TaskEvent.objects.get(action="bury")
    html = viewer.get(reverse("admin:tasks_taskevent_change", args=[event.pk])).content.decode()
    assert "it broke" in html


def test_nobody_changes_a_row(root):
    make_task()
    event = TaskEvent.objects.get()
    assert root.get(reverse("admin:tasks_taskevent_add")).status_code == 403
    assert root.post(reverse("admin:tasks_taskevent_change", args=[event.pk]), {"actor": "x"}).status_code == 403
    assert root.post(reverse("admin:tasks_taskevent_delete", args=[event.pk])).status_code == 403


def test_the_list_costs_the_same_for_many(viewer, django_assert_max_num_queries):
    for _ in range(5):
        make_task("completed")
    with django_assert_max_num_queries(8):
        viewer.get(reverse(LIST))
