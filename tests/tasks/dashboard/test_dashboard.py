"""How templates say things."""

from __future__ import annotations

import datetime as dt

import pytest
from django.template import Context, Template
from django.utils import timezone

from tasks import lifecycle
from tasks.dashboard.templatetags import dashboard as tags
from tasks.models import Attempt, Task, TaskEvent
from tasks.states import Actions
from tests.factories import make_task


def render(text, **context):
    return Template("{% load dashboard %}" + text).render(Context(context))


def ago(seconds):
    return timezone.now() - dt.timedelta(seconds=seconds)


def test_a_moment_is_words_for_people_and_a_time_for_scripts():
    html = render("{% moment value %}", value=dt.datetime(2020, 5, 17, 8, 30, tzinfo=dt.UTC))
    assert 'datetime="2020-05-17T08:30:00+00:00" data-moment="ago" title="2020-05-17 08:30:00 UTC"' in html
    assert render("{% moment value %}", value=None) == ""


@pytest.mark.parametrize(
    ("status", "field", "seconds", "words"),
    [
        ("pending", "run_at", -5430, "in 1h"),
        ("failed", "run_at", -5430, "retry in 1h"),
        ("processing", "started_at", 7530, "for 2h 05m"),
        ("processing", "updated_at", 7530, "for 2h 05m"),
        ("paused", "updated_at", 7530, "2h ago"),
        ("completed", "finished_at", 7530, "2h ago"),
    ],
)
def test_each_state_has_the_time_that_matters(status, field, seconds, words):
    task = Task(status=status, **{field: ago(seconds)})
    assert f">{words}</time>" in render("{% when task %}", task=task)


def test_how_long_it_took():
    started = ago(10)
    assert tags.took(Attempt(started_at=started, finished_at=started + dt.timedelta(seconds=2.5))) == "2.5 s"
    assert tags.took(Attempt(started_at=None, finished_at=started)) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ 'dead_lettered'|label }}", "Dead-lettered"),
        ("{{ 1234567|count }}", "1,234,567"),
        ("{{ nothing|count }}", "0"),
        ("{{ 99.9|percent }}", "99"),
        ("{{ 7|signed }}", "+7"),
        ("{{ 2.5|seconds }}", "2.5 s"),
        ("{{ 'lost'|status_of_outcome }}", "dead_lettered"),
        ("{{ 'failed'|status_of_outcome }}", "failed"),
    ],
)
def test_words_and_numbers(text, words):
    assert render(text) == words


def test_json_is_escaped_and_can_be_masked():
    value = {"password": "x", "name": "<b>"}
    assert "&lt;b&gt;" in render("{{ value|pretty }}", value=value)
    assert "&quot;x&quot;" not in render("{{ value|masked|compact }}", value=value)


def test_a_callback_is_called_after_its_address():
    task = Task(name="callback", callback_url="https://example.com/hook?token=abc")
    assert tags.title(task).startswith("example.com/hook?token=")
    assert "abc" not in tags.title(task) + tags.shown_url(task)
    assert tags.title(Task(name="reports.build")) == "reports.build"


@pytest.mark.parametrize("action", Actions)
def test_every_step_has_a_word(action):
    assert tags.told(TaskEvent(type="task_updated", action=action, message="not this")) != "Not this"


@pytest.mark.django_db
def test_what_is_no_step_is_told_by_its_message():
    task = lifecycle.cancel(make_task("processing").pk, "alice")
    created, *_, requested = TaskEvent.objects.filter(task_id=task.pk).order_by("version")
    assert (tags.told(created), tags.told(requested)) == ("Created", "Cancel requested")
