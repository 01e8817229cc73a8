"""Verbs for many tasks: every action against every state, with refusals reported and everything on record."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.admin.models import CHANGE, LogEntry

from tasks import lifecycle
from tasks.admin import operations
from tasks.admin.operations import VERBS, Report, candidates, offered, operate
from tasks.models import Task, TaskEvent
from tasks.states import TABLE, Actions, States
from tests.factories import claim, make_task

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("status", States.values)
@pytest.mark.parametrize("action", VERBS)
def test_each_action_does_what_the_table_says_and_reports_the_rest(action, status, alice):
    task = make_task(status)
    report = operate(Task.objects.all(), action, [task.pk], alice)
    stored = Task.objects.get(pk=task.pk)
    if status not in TABLE[action]:
        assert ([refusal.task.pk for refusal in report.refused], report.changed) == ([task.pk], 0)
        assert (stored.version, LogEntry.objects.count()) == (task.version, 0)
        return
    asked = status == States.PROCESSING
    assert (report.changed, report.asked, report.refused) == (not asked, asked, [])
    assert stored.requested == action if asked else stored.status == TABLE[action][States(status)]
    assert TaskEvent.objects.filter(task_id=task.pk).latest("version").actor == "alice"


def test_who_what_before_and_after_are_in_djangos_log(alice):
    dead, running = make_task("dead_lettered"), make_task("processing")
    operate(Task.objects.all(), Actions.RESURRECT, [dead.pk], alice)
    operate(Task.objects.all(), Actions.CANCEL, [running.pk], alice)
    entries = {entry.object_id: entry for entry in LogEntry.objects.all()}
    assert {entry.user for entry in entries.values()} == {alice}
    assert {entry.action_flag for entry in entries.values()} == {CHANGE}
    assert entries[str(dead.pk)].change_message == "resurrect: dead_lettered → pending"
    assert entries[str(running.pk)].change_message == "cancel: processing → processing (cancel requested)"


def test_a_refusal_in_the_middle_stops_nothing(alice, monkeypatch):
    monkeypatch.setattr(operations, "CHUNK", 2)
    tasks = [make_task(status) for status in ("dead_lettered", "completed", "canceled", "pending", "dead_lettered")]
    report = operate(Task.objects.all(), Actions.RESURRECT, [task.pk for task in tasks], alice)
    assert report.changed == 3
    assert [Task.objects.get(pk=tasks[n].pk).status for n in (0, 2, 4)] == ["pending"] * 3
    assert [(refusal.task.pk, refusal.task.status) for refusal in report.refused] == [
        (tasks[1].pk, "completed"),
        (tasks[3].pk, "pending"),
    ]
    assert all("Cannot resurrect" in refusal.reason for refusal in report.refused)
    assert LogEntry.objects.count() == 3


def test_the_second_time_nothing_is_left_to_do(alice):
    task = make_task("dead_lettered")
    operate(Task.objects.all(), Actions.RESURRECT, [task.pk], alice)
    again = operate(Task.objects.all(), Actions.RESURRECT, [task.pk], alice)
    assert (again.changed, len(again.refused), LogEntry.objects.count()) == (0, 1, 1)


def test_what_is_gone_or_not_visible_is_passed_over(alice, bob):
    foreign = make_task("dead_lettered", owner=bob)
    report = operate(Task.objects.visible_to(alice), Actions.RESURRECT, [foreign.pk, uuid.uuid4()], alice)
    assert report == Report(Actions.RESURRECT)
    assert Task.objects.get(pk=foreign.pk).status == "dead_lettered"


def test_when_the_time_is_up_the_rest_is_left_and_counted(alice, monkeypatch):
    monkeypatch.setattr(operations, "CHUNK", 2)
    monkeypatch.setattr(operations, "BUDGET", 0)
    tasks = [make_task("dead_lettered") for _ in range(5)]
    report = operate(Task.objects.all(), Actions.RESURRECT, [task.pk for task in tasks], alice)
    assert (report.changed, report.left) == (2, 3)
    assert Task.objects.dead_lettered().count() == 3


def test_a_change_and_its_record_stand_or_fall_together(alice, monkeypatch):
    task = make_task("dead_lettered")
    monkeypatch.setattr(LogEntry.objects, "log_actions", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        operate(Task.objects.all(), Actions.RESURRECT, [task.pk], alice)
    assert Task.objects.get(pk=task.pk).status == "dead_lettered"


def test_candidates_are_the_oldest_that_can_be_changed(monkeypatch):
    monkeypatch.setattr(operations, "LIMIT", 3)
    statuses = ("canceled", "completed", "dead_lettered", "pending", "canceled", "dead_lettered")
    tasks = [make_task(status) for status in statuses]
    found = candidates(Task.objects.all(), Actions.RESURRECT)
    assert found == [tasks[0].pk, tasks[2].pk, tasks[4].pk]


def test_what_has_been_asked_for_is_not_offered_again():
    task = claim(make_task())
    assert offered(task) == [Actions.CANCEL, Actions.PAUSE]
    assert offered(lifecycle.pause(task.pk, "alice")) == [Actions.CANCEL]
    assert offered(lifecycle.cancel(task.pk, "alice")) == []


def test_a_callback_that_was_accepted_can_only_be_canceled():
    task = claim(make_task())
    assert task.lease is not None
    lifecycle.defer(task.pk, task.lease, 60, "test")
    assert offered(Task.objects.get(pk=task.pk)) == [Actions.CANCEL]
