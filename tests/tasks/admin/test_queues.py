"""Every queue, and the switch that pauses it."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from tasks.models import Queue
from tests.factories import make_task

pytestmark = pytest.mark.django_db
LIST = "admin:tasks_queue_changelist"


def switch(name: str, action: str) -> str:
    return reverse("admin:tasks_queue_switch", args=[name, action])


def test_every_queue_with_what_it_holds(viewer):
    make_task(queue="reports")
    make_task("dead_lettered", queue="mail")
    html = viewer.get(reverse(LIST)).content.decode()
    assert "?queue=reports" in html
    assert "?queue=mail" in html
    assert html.count(">running<") == 2


def test_pause_and_resume(operator):
    make_task(queue="reports")
    operator.post(switch("reports", "pause"))
    assert Queue.objects.get(name="reports").paused_at
    assert b">paused<" in operator.get(reverse(LIST)).content
    assert b"is paused already" in operator.post(switch("reports", "pause"), follow=True).content
    operator.post(switch("reports", "resume"))
    assert Queue.objects.get(name="reports").paused_at is None
    assert [entry.change_message for entry in LogEntry.objects.order_by("pk")] == [
        "pause: running → paused", "resume: paused → running"
    ]  # fmt: skip


def test_the_switch_is_for_operators_and_by_post(operator, viewer):
    make_task(queue="reports")
    assert switch("reports", "pause") not in viewer.get(reverse(LIST)).content.decode()
    assert viewer.post(switch("reports", "pause")).status_code == 403
    assert operator.get(switch("reports", "pause")).status_code == 405
    assert not Queue.objects.exists()


def test_only_queues_that_there_are(operator):
    make_task(queue="reports")
    assert operator.post(switch("other", "pause")).status_code == 404
    assert operator.post(switch("reports", "delete")).status_code == 404
    assert not Queue.objects.exists()
