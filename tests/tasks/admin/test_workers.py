"""The worker sessions: who lives, what they hold."""

from __future__ import annotations

import datetime as dt

import pytest
from django.urls import reverse
from django.utils import timezone

from tasks.admin.workers import standing
from tests.factories import claim, make_task, make_worker

pytestmark = pytest.mark.django_db
LIST = "admin:tasks_worker_changelist"


@pytest.fixture
def workers():
    now = timezone.now()
    return {
        "live": make_worker(host="live"),
        "silent": make_worker(host="silent", expires_at=now - dt.timedelta(seconds=1)),
        "stopped": make_worker(host="stopped", stopped_at=now),
        "lost": make_worker(host="lost", lost_at=now),
    }


def test_each_stands_as_it_does(workers):
    assert {standing(worker): name for name, worker in workers.items()} == {name: name for name in workers}


def test_the_filter_agrees(viewer, workers):
    for state, worker in workers.items():
        assert list(viewer.get(reverse(LIST), {"state": state}).context["cl"].result_list) == [worker]
    assert len(viewer.get(reverse(LIST)).context["cl"].result_list) == 4
    assert not viewer.get(reverse(LIST), {"state": "bogus"}).context["cl"].result_list


def test_what_they_hold(person, at_desk, viewer, bob):
    worker = make_worker()
    task = claim(make_task(owner=bob), worker)
    address = reverse("admin:tasks_worker_change", args=[worker.pk])
    task_page = reverse("admin:tasks_task_change", args=[task.pk])
    (row,) = viewer.get(reverse(LIST)).context["cl"].result_list
    assert row.held == 1
    assert task_page in viewer.get(address).content.decode()
    blind = at_desk(person("blind", "view_workers"))
    assert task_page not in blind.get(address).content.decode()


def test_nobody_changes_them(root):
    worker = make_worker()
    assert root.get(reverse("admin:tasks_worker_add")).status_code == 403
    assert root.post(reverse("admin:tasks_worker_change", args=[worker.pk]), {"pid": 2}).status_code == 403
    assert root.post(reverse("admin:tasks_worker_delete", args=[worker.pk])).status_code == 403


def test_the_list_costs_the_same_for_many(viewer, django_assert_max_num_queries):
    for _ in range(5):
        claim(make_task(), make_worker())
    with django_assert_max_num_queries(8):
        viewer.get(reverse(LIST))
