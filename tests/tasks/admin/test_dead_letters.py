"""Triage: from the groups to one of them, and its resurrection, whole or a few of it."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from tasks.admin import dead_letters
from tasks.admin.dead_letters import TALL, bars
from tasks.models import Task
from tests.factories import make_task
from tests.tasks.admin.test_confirmation import form, said
from tests.tasks.test_dead_letters import A, B, dead

pytestmark = pytest.mark.django_db
GROUPS = "admin:tasks_deadletter_changelist"


def group_page(fingerprint: str) -> str:
    return reverse("admin:tasks_deadletter_group", args=[fingerprint])


def resurrection(fingerprint: str) -> str:
    return reverse("admin:tasks_deadletter_resurrect", args=[fingerprint])


def test_the_groups_and_where_they_lead(operator):
    dead(A)
    dead(A)
    dead(B)
    html = operator.get(reverse(GROUPS)).content.decode()
    assert group_page(A) in html
    assert resurrection(A) in html
    assert "detail of a" in html
    assert html.count('<td class="count number">') == 2


def test_no_dead_letter_is_good_news(viewer):
    assert b"Nothing lies dead" in viewer.get(reverse(GROUPS)).content


def test_a_groups_page_tells_its_tasks_and_its_traceback(viewer):
    task = dead(A)
    html = viewer.get(group_page(A)).content.decode()
    assert reverse("admin:tasks_task_change", args=[task.pk]) in html
    assert "detail of a" in html
    assert f"?error={A}&amp;status=dead_lettered" in html


def test_the_whole_group_is_resurrected(operator):
    group, other, alive = [dead(A) for _ in range(3)], dead(B), make_task("failed")
    page = operator.get(resurrection(A))
    assert "Resurrect 3 tasks?" in page.content.decode()
    assert Task.objects.get(pk=group[0].pk).status == "dead_lettered"
    done = operator.post(resurrection(A), form(page))
    assert (done.status_code, done.url, said(done)) == (302, reverse(GROUPS), ["Resurrected 3."])
    assert {Task.objects.get(pk=task.pk).status for task in group} == {"pending"}
    assert Task.objects.get(pk=other.pk).status == "dead_lettered"
    assert Task.objects.get(pk=alive.pk).version == alive.version
    assert LogEntry.objects.count() == 3


def test_or_a_few_of_it_the_oldest_first(operator):
    group = [dead(A) for _ in range(3)]
    done = operator.post(resurrection(A), form(operator.get(resurrection(A))) | {"limit": ["2"]})
    assert done.url == group_page(A)
    assert [Task.objects.get(pk=task.pk).status for task in group] == ["pending", "pending", "dead_lettered"]


def test_without_the_permission_one_looks_only(viewer):
    task = dead(A)
    assert resurrection(A) not in viewer.get(reverse(GROUPS)).content.decode()
    assert resurrection(A) not in viewer.get(group_page(A)).content.decode()
    for answer in (viewer.get(resurrection(A)), viewer.post(resurrection(A), {"post": "yes"})):
        assert answer.status_code == 403
    assert Task.objects.get(pk=task.pk).status == "dead_lettered"


def test_one_sees_and_resurrects_what_one_may_see(person, at_desk, bob):
    foreign = dead(A, owner=bob)
    half = at_desk(person("half", "view_task", "operate_tasks"))
    assert half.get(group_page(A)).status_code == 404
    half.post(resurrection(A), {"post": "yes", "tasks": str(foreign.pk)})
    assert Task.objects.get(pk=foreign.pk).status == "dead_lettered"


@pytest.mark.parametrize("fingerprint", ["0" * 16, "x", "a\x00b", "<script>"])
def test_there_is_no_such_group(viewer, fingerprint):
    assert viewer.get(group_page(fingerprint)).status_code == 404


def test_groups_come_in_pages(viewer, monkeypatch):
    monkeypatch.setattr(dead_letters, "PAGE", 2)
    for number in range(3):
        dead(f"{number:016x}", number)
    first, second = viewer.get(reverse(GROUPS)), viewer.get(reverse(GROUPS), {"p": 2})
    assert [len(page.context["rows"]) for page in (first, second)] == [2, 1]
    assert b"?p=2" in first.content
    assert b"?p=1" in second.content
    for nonsense in ("0", "-1", "x", "9" * 40):
        assert len(viewer.get(reverse(GROUPS), {"p": nonsense}).context["rows"]) == 2


def test_the_overview_costs_the_same_however_many_groups(viewer, django_assert_max_num_queries):
    for number in range(8):
        dead(f"{number:016x}")
    with django_assert_max_num_queries(10):
        viewer.get(reverse(GROUPS))


def test_a_bar_for_each_day():
    dead(A)
    dead(A, 1)
    dead(A)
    (group,) = dead_letters.groups(Task.objects.all())
    drawn = bars(group)
    assert [bar["count"] for bar in drawn[-2:]] == [1, 2]
    assert [bar["height"] for bar in drawn[-3:]] == [0, TALL // 2, TALL]
