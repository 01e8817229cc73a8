"""Everything that is known of one task, on its page."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tasks import lifecycle, logs
from tasks.admin import story
from tasks.database import database_now
from tasks.models import Task
from tasks.states import Actions
from tests.factories import claim, end, make_task

pytestmark = pytest.mark.django_db


def page_of(client, task) -> str:
    return client.get(reverse("admin:tasks_task_change", args=[task.pk])).content.decode()


def facts(task) -> dict[str, str]:
    return {name: str(value) for name, value in story.of(task)["facts"]}


def test_attempts_come_with_tracebacks_and_responses(viewer):
    task = make_task(retry={"delay": 0})
    error = {"type": "KeyError", "detail": "'x'", "fingerprint": "f" * 16, "traceback": "File handlers.py, line 41"}
    end(
        claim(task),
        Actions.FAIL,
        error=error,
        response={"status": 503, "headers": {"x-api-token": "t0p"}, "body": "busy"},
    )
    html = page_of(viewer, task)
    assert "Attempt 1" in html
    assert "File handlers.py, line 41" in html
    assert "&quot;status&quot;: 503" in html
    assert "t0p" not in html


def test_what_came_too_late_is_shown_as_such(viewer):
    task = claim(make_task())
    lifecycle.rescue(Task.objects.filter(pk=task.pk), charged=False)
    end_late = [lifecycle.Outcome(task.pk, task.lease, Actions.COMPLETE, result={"pages": 7})]
    lifecycle.record(end_late, "test")
    html = page_of(viewer, task)
    assert "kept, not applied" in html
    assert "&quot;pages&quot;: 7" in html


def test_the_payload_is_readable_and_its_secrets_are_masked(viewer):
    task = make_task(payload={"value": "Zürich"})
    Task.objects.filter(pk=task.pk).update(
        payload={"city": "Zürich", "password": "hunter2"},
        callback_url="https://example.com/?token=hunter2&x=1",
        callback_headers={"X-Custom": "hunter2"},
    )
    html = page_of(viewer, task)
    assert "&quot;city&quot;: &quot;Zürich&quot;" in html
    assert "X-Custom" in html
    assert "hunter2" not in html


def test_result_state_log_and_history(viewer, alice):
    task = claim(make_task(owner=alice, tags=["vip"]))
    logs.append(task, [logs.LogLine("warning", "slow <page>", database_now())])
    end(task, Actions.COMPLETE, result={"pages": 12}, state={"page": 3})
    html = page_of(viewer, task)
    for text in ("&quot;pages&quot;: 12", "&quot;page&quot;: 3", "slow &lt;page&gt;", "vip", "alice", "complete"):
        assert text in html


def test_facts_are_told_when_there_are_any():
    waiting, done = make_task(), make_task("completed")
    assert facts(waiting)["Attempt"] == "0 of 10"
    assert "Run at" in facts(waiting)
    assert not {"Finished", "Started", "Crashes", "Callback", "Progress"} & facts(waiting).keys()
    assert "Finished" in facts(done)
    assert "Run at" not in facts(done)


def test_progress_is_told_while_there_is_some():
    task = claim(make_task())
    assert task.lease is not None
    lifecycle.report([lifecycle.Progress(task.pk, task.lease, 41.7, "page 5 of 12")], "test")
    assert facts(Task.objects.get(pk=task.pk))["Progress"] == "42 % page 5 of 12"


def test_long_tales_are_cut(viewer, monkeypatch):
    monkeypatch.setattr(story, "ATTEMPTS", 2)
    monkeypatch.setattr(story, "EVENTS", 3)
    task = make_task()
    for _ in range(3):
        task = end(claim(task), Actions.RELEASE)
    told = story.of(task)
    assert [row.attempt.number for row in told["tries"]] == [3, 2]
    assert [event.version for event in told["events"]] == [7, 6, 5]
    assert "the last 2 that ended, of 3" in page_of(viewer, task)


@pytest.mark.parametrize(("seconds", "words"), [(0.25, "250 ms"), (3.25, "3.2 s"), (4000, "4,000.0 s")])
def test_how_long_it_took(seconds, words):
    now = database_now()
    assert story.took(now, now + story.dt.timedelta(seconds=seconds)) == words
    assert story.took(None, now) == story.NOTHING
