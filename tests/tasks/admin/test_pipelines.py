"""The pipelines in the admin: the list, the page of one, and the verbs for the whole of it."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from tasks.admin.pipelines import OFFERED
from tasks.models import Pipeline
from tasks.operations import PIPELINE_VERBS
from tasks.states import Actions
from tests.tasks.pipelines.factories import make_pipeline, now, run, task_of

pytestmark = pytest.mark.django_db
LIST = "admin:tasks_pipeline_changelist"


def page_of(pipeline) -> str:
    return reverse("admin:tasks_pipeline_change", args=[pipeline.pk])


def button_of(pipeline, verb) -> str:
    return reverse("admin:tasks_pipeline_operate", args=[pipeline.pk, verb])


def listed(client, **query) -> list[Pipeline]:
    return list(client.get(reverse(LIST), query).context["cl"].result_list)


def test_the_list_is_found_by_status_name_and_id(viewer):
    failed, waiting = make_pipeline(), make_pipeline(name="hourly")
    run(failed, "extract", action=Actions.BURY)
    assert listed(viewer) == [waiting, failed]
    assert (
        listed(viewer, status="failed") == listed(viewer, q="nightly") == listed(viewer, q=str(failed.pk)) == [failed]
    )
    assert listed(viewer, q="night") == listed(viewer, status="bogus") == []


def test_the_page_tells_each_step(viewer):
    pipeline = make_pipeline(input={"password": "hunter2", "month": "2026-11"})
    run(pipeline, "extract")
    html = viewer.get(page_of(pipeline)).content.decode()
    for text in (
        "extract",
        "load",
        "1 of 2",
        "2026-11",
        reverse("admin:tasks_task_change", args=[task_of(pipeline, "extract").pk]),
    ):
        assert text in html
    assert "hunter2" not in html


def test_a_step_leads_to_its_pipeline(viewer):
    pipeline = make_pipeline()
    html = viewer.get(reverse("admin:tasks_task_change", args=[task_of(pipeline, "extract").pk])).content.decode()
    assert page_of(pipeline) in html


def test_the_verbs(operator):
    pipeline = make_pipeline()
    for verb, status in (("pause", "paused"), ("resume", "pending"), ("cancel", "canceled"), ("retry", "pending")):
        assert button_of(pipeline, verb) in operator.get(page_of(pipeline)).content.decode()
        assert operator.post(button_of(pipeline, verb)).status_code == 302
        assert now(pipeline).status == status
    assert LogEntry.objects.earliest("pk").change_message == "pause: pending → paused"
    assert LogEntry.objects.count() == 4


def test_what_the_status_does_not_allow_is_said(operator):
    pipeline = make_pipeline()
    html = operator.post(button_of(pipeline, "resume"), follow=True).content.decode()
    assert "Cannot resume a pipeline that is pending" in html
    assert not LogEntry.objects.exists()


def test_without_the_permission_one_looks_only(viewer, operator):
    pipeline = make_pipeline()
    assert "/operate/" not in viewer.get(page_of(pipeline)).content.decode()
    assert viewer.post(button_of(pipeline, "cancel")).status_code == 403
    assert operator.get(button_of(pipeline, "cancel")).status_code == 405
    assert operator.post(button_of(pipeline, "delete")).status_code == 404
    assert now(pipeline).status == "pending"


def test_one_sees_and_operates_ones_own(person, at_desk, bob):
    foreign = make_pipeline(owner=bob)
    half = at_desk(person("half", "view_task", "operate_tasks"))
    assert listed(half) == []
    assert half.post(button_of(foreign, "cancel")).status_code == 404
    assert now(foreign).status == "pending"


def test_every_verb_is_offered_somewhere():
    assert OFFERED.keys() == PIPELINE_VERBS.keys()


def test_the_list_costs_the_same_for_many(viewer, alice, django_assert_max_num_queries):
    for _ in range(5):
        make_pipeline(owner=alice)
    with django_assert_max_num_queries(8):
        viewer.get(reverse(LIST))
