"""Counts end at the cap, and say so."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tasks.admin import paging
from tasks.admin.paging import CappedPaginator, counted
from tasks.models import Task
from tests.factories import make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def five():
    return [make_task() for _ in range(5)]


@pytest.mark.parametrize(("cap", "count", "more"), [(3, 3, True), (4, 4, True), (5, 5, False), (9, 5, False)])
def test_the_count_ends_at_the_cap(five, monkeypatch, cap, count, more):
    monkeypatch.setattr(paging, "CAP", cap)
    paginator = CappedPaginator(Task.objects.order_by("-pk"), 2)
    assert (paginator.count, paginator.has_more) == (count, more)


def test_the_database_stops_counting_there(five, django_assert_num_queries):
    with django_assert_num_queries(1) as asked:
        assert counted(Task.objects.all(), 3) == 3
    assert "LIMIT 3" in asked[0]["sql"]


def test_the_page_says_that_there_are_more(five, monkeypatch, viewer):
    monkeypatch.setattr(paging, "CAP", 3)
    html = viewer.get(reverse("admin:tasks_task_changelist")).content.decode()
    assert "3+ tasks" in html
