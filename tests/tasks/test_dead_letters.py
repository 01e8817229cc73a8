"""Dead letters by error: how many, since when, how it goes; and that the index alone is read."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from tasks import dead_letters, lifecycle
from tasks.dead_letters import DAYS, group, groups
from tasks.models import Task
from tasks.states import Actions
from tests.factories import claim, end, make_task

pytestmark = pytest.mark.django_db


def dead(fingerprint: str, days_ago: float = 0, **options) -> Task:
    error = {"type": "RuntimeError", "detail": f"detail of {fingerprint[0]}", "fingerprint": fingerprint}
    task = end(claim(make_task(**options)), Actions.BURY, error=error)
    Task.objects.filter(pk=task.pk).update(finished_at=timezone.now() - dt.timedelta(days=days_ago))
    return Task.objects.get(pk=task.pk)


A, B = "a" * 16, "b" * 16


def test_one_group_for_each_error_the_last_to_grow_first():
    first, last = dead(A, 3), dead(A, 1)
    newest = dead(B)
    found = groups(Task.objects.all())
    assert [(one.fingerprint, one.count) for one in found] == [(B, 1), (A, 2)]
    assert (found[1].first, found[1].last) == (first.finished_at, last.finished_at)
    assert (found[0].sample, found[1].sample) == (newest, last)
    assert found[1].sample.error == {"type": "RuntimeError", "detail": "detail of a", "fingerprint": A}


def test_only_what_is_dead_counts():
    make_task("failed")
    resurrected = dead(A)
    lifecycle.resurrect(resurrected.pk, "alice")
    assert groups(Task.objects.all()) == []
    assert group(Task.objects.all(), A) is None


def test_the_trend_is_by_day_today_last():
    dead(A)
    dead(A)
    dead(A, 2)
    dead(A, DAYS + 1)
    (found,) = groups(Task.objects.all())
    assert found.count == 4
    assert found.trend == [*[0] * (DAYS - 3), 1, 0, 2]


def test_pages_of_groups():
    for number in range(5):
        dead(f"{number:016x}", number)
    assert [one.fingerprint[-1] for one in groups(Task.objects.all(), 1, 3)] == ["1", "2"]


def test_those_that_died_at_one_moment_are_one_group():
    tasks = [dead(A, 1) for _ in range(3)]
    Task.objects.filter(pk__in=[task.pk for task in tasks]).update(finished_at=timezone.now())
    found = group(Task.objects.all(), A)
    assert found is not None
    assert (found.count, found.sample in tasks) == (3, True)


def test_somebody_who_sees_their_own_tasks_sees_groups_of_them(alice, bob):
    dead(A, owner=alice)
    dead(A, owner=bob)
    dead(B, owner=bob)
    assert [(one.fingerprint, one.count) for one in groups(Task.objects.visible_to(alice))] == [(A, 1)]


def test_the_groups_are_read_from_the_index_of_the_dead():
    dead(A)
    plan = dead_letters.dead(Task.objects.all()).values("fingerprint").order_by("fingerprint").explain()
    assert "task_dead" in plan or "Seq Scan" in plan  # PostgreSQL reads a table of one page whole


def test_it_takes_three_queries_however_many_groups(django_assert_num_queries):
    for number in range(6):
        dead(f"{number:016x}")
    with django_assert_num_queries(3):
        assert len(groups(Task.objects.all())) == 6
