"""The page before an action, what its form carries, and the sentence afterwards."""

from __future__ import annotations

import re

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse

from tasks import lifecycle
from tasks.admin import confirmation, operations
from tasks.admin.confirmation import outcome
from tasks.admin.operations import Refusal, Report
from tasks.models import Task
from tasks.states import Actions
from tests.factories import make_task

pytestmark = pytest.mark.django_db


def said(response) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def form(response) -> dict[str, list[str]]:
    """What the browser would send: the inputs of the form that confirms."""
    html = response.content.decode()
    html = html[html.index('class="confirm"') :]
    fields: dict[str, list[str]] = {}
    for tag in re.findall(r"<input[^>]*>", html):
        named = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        fields.setdefault(named["name"], []).append(named.get("value", ""))
    return fields


def test_first_a_preview_then_the_act(operator, bulk):
    tasks = [make_task("dead_lettered") for _ in range(3)]
    page = bulk(operator, "resurrect", *tasks)
    assert "Resurrect 3 tasks?" in page.content.decode()
    assert set(Task.objects.values_list("status", flat=True)) == {"dead_lettered"}
    done = operator.post(reverse("admin:tasks_task_changelist"), form(page))
    assert done.status_code == 302
    assert said(done) == ["Resurrected 3."]
    assert set(Task.objects.values_list("status", flat=True)) == {"pending"}


def test_what_stays_as_it_is_is_said_before_and_after(operator, bulk):
    dead = [make_task("dead_lettered") for _ in range(2)]
    others = [make_task("completed"), make_task("pending")]
    page = bulk(operator, "resurrect", *dead, *others)
    assert "2 of the 4 that you selected will change" in page.content.decode()
    assert page.context["preview"].others == {"completed": 1, "pending": 1}
    (message,) = said(operator.post(reverse("admin:tasks_task_changelist"), form(page)))
    assert message.startswith("Resurrected 2, 2 were not in a state that allows it:")
    assert all(str(task.pk) in message for task in others)


def test_exactly_what_was_previewed_is_done(operator, bulk):
    """Also when the page was made from a filter that the tasks, or others, match or miss by now."""
    meant, moved = make_task("dead_lettered"), make_task("dead_lettered")
    page = bulk(operator, "resurrect", meant, query="?status=dead_lettered", select_across="1")
    later = make_task("dead_lettered")
    lifecycle.resurrect(moved.pk, "somebody else")
    done = operator.post(reverse("admin:tasks_task_changelist") + "?status=dead_lettered", form(page))
    assert Task.objects.get(pk=meant.pk).status == "pending"
    assert Task.objects.get(pk=later.pk).status == "dead_lettered"
    (message,) = said(done)
    assert message.startswith("Resurrected 1, 1 was not in a state that allows it:")


def test_sending_it_twice_does_nothing_more(operator, bulk):
    tasks = [make_task("dead_lettered") for _ in range(3)]
    fields = form(bulk(operator, "resurrect", tasks[0], select_across="1")) | {"limit": ["2"]}
    for _ in range(2):
        operator.post(reverse("admin:tasks_task_changelist"), fields)
    assert [Task.objects.get(pk=task.pk).status for task in tasks] == ["pending", "pending", "dead_lettered"]


def test_everything_that_matches_the_filter(operator, bulk):
    here = [make_task("dead_lettered", queue="here") for _ in range(2)]
    there = make_task("dead_lettered", queue="there")
    page = bulk(operator, "resurrect", there, query="?queue=here", select_across="1")
    assert "Resurrect 2 tasks?" in page.content.decode()
    operator.post(reverse("admin:tasks_task_changelist") + "?queue=here", form(page))
    assert {task.status for task in Task.objects.filter(pk__in=[task.pk for task in here])} == {"pending"}
    assert Task.objects.get(pk=there.pk).status == "dead_lettered"


def test_more_than_one_confirmation_changes(operator, bulk, monkeypatch):
    monkeypatch.setattr(operations, "LIMIT", 2)
    monkeypatch.setattr(confirmation, "LIMIT", 2)
    tasks = [make_task("dead_lettered") for _ in range(3)]
    page = bulk(operator, "resurrect", tasks[0], select_across="1")
    assert "3 tasks match. One confirmation changes 2 of them" in page.content.decode()
    operator.post(reverse("admin:tasks_task_changelist"), form(page))
    assert [Task.objects.get(pk=task.pk).status for task in tasks] == ["pending", "pending", "dead_lettered"]


def test_nothing_to_do_offers_nothing(operator, bulk):
    page = bulk(operator, "retry", make_task("completed"))
    assert "None of these tasks is in a state that allows it" in page.content.decode()
    assert b'<button class="button primary"' not in page.content


def test_a_program_may_confirm_without_the_page(operator, bulk):
    task = make_task("dead_lettered")
    bulk(operator, "resurrect", task, confirmed=True)
    assert Task.objects.get(pk=task.pk).status == "pending"


@pytest.mark.parametrize(
    "fields",
    [{"tasks": "x"}, {"tasks": "1,2"}, {"limit": "0"}, {"limit": "x"}, {"limit": "9" * 30}, {"limit": "-1"}],
    ids=str,
)
def test_nonsense_is_refused(operator, bulk, fields):
    task = make_task("dead_lettered")
    assert bulk(operator, "resurrect", task, confirmed=True, **fields).status_code == 400
    assert Task.objects.get(pk=task.pk).status == "dead_lettered"


def test_too_many_ids_are_refused(operator, bulk, monkeypatch):
    monkeypatch.setattr(confirmation, "LIMIT", 2)
    task = make_task("dead_lettered")
    assert bulk(operator, "resurrect", task, confirmed=True, tasks=",".join([str(task.pk)] * 3)).status_code == 400


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        (Report(Actions.CANCEL), "Canceled 0."),
        (Report(Actions.CANCEL, 1200), "Canceled 1,200."),
        (Report(Actions.CANCEL, 1, 2), "Canceled 1, asked 2 that run to cancel."),
        (Report(Actions.PAUSE, 0, 2), "Asked 2 that run to pause."),
        (Report(Actions.RETRY, 50, left=7), "Retried 50, the time was too short for 7: do it again for them."),
    ],
)
def test_the_sentence(report, sentence):
    assert outcome(report) == sentence


def test_the_sentence_names_ten_at_most():
    refused = [Refusal(make_task("completed"), "no") for _ in range(12)]
    sentence = outcome(Report(Actions.RETRY, refused=refused))
    assert sentence.count("<li>") == 10
    assert sentence.endswith(" and 2 more.")
