"""The list of tasks and the page of one, through the client."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from tasks.admin.operations import VERBS
from tasks.models import Task
from tasks.states import TABLE, Actions, States
from tests.factories import claim, end, make_task

pytestmark = pytest.mark.django_db
LIST = "admin:tasks_task_changelist"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"


def page_of(task) -> str:
    return reverse("admin:tasks_task_change", args=[task.pk])


def button_of(task, action) -> str:
    return reverse("admin:tasks_task_operate", args=[task.pk, action])


# -- the list ------------------------------------------------------------------------------------------------------


def test_the_list_shows_each_state_newest_first(viewer):
    tasks = [make_task(status) for status in States.values]
    html = viewer.get(reverse(LIST)).content.decode()
    places = [html.index(page_of(task)) for task in reversed(tasks)]
    assert places == sorted(places)
    assert all(f'data-status="{status}"' in html for status in States.values)


def test_the_list_costs_the_same_whatever_it_shows(viewer, django_assert_max_num_queries, alice):
    for _ in range(30):
        make_task("dead_lettered", owner=alice)
    with django_assert_max_num_queries(10):  # session, user, permissions, counts, owners, rows
        viewer.get(reverse(LIST))


def test_nothing_is_counted_by_scanning(viewer, django_assert_max_num_queries):
    make_task()
    with django_assert_max_num_queries(10) as asked:
        viewer.get(reverse(LIST))
    counting = [query["sql"] for query in asked if "COUNT(" in query["sql"]]
    assert counting
    assert all("LIMIT" in sql for sql in counting)


def test_the_list_leaves_the_payloads_where_they_are(viewer, django_assert_max_num_queries):
    make_task()
    with django_assert_max_num_queries(10) as asked:
        viewer.get(reverse(LIST))
    assert not [query for query in asked if '"payload"' in query["sql"]]


def test_everybody_sees_what_they_may(person, at_desk, alice, bob):
    mine, foreign = person("owner", "view_task"), make_task(owner=bob)
    own = make_task(owner=mine)
    html = at_desk(mine).get(reverse(LIST)).content.decode()
    assert page_of(own) in html
    assert page_of(foreign) not in html
    assert at_desk(mine).get(page_of(foreign)).status_code == 302  # as for an id that there isn't
    assert at_desk(person("nobody")).get(reverse(LIST)).status_code == 403


def test_one_cannot_add_edit_or_delete(root):
    task = make_task()
    assert root.get(reverse("admin:tasks_task_add")).status_code == 403
    assert root.get(reverse("admin:tasks_task_delete", args=[task.pk])).status_code == 403
    assert root.post(page_of(task), {"status": "completed"}).status_code == 403
    assert Task.objects.get(pk=task.pk).version == 1


def test_hostile_words_are_text_everywhere(operator, bulk, alice):
    task = make_task("pending", tags=[HOSTILE], owner=alice)
    error = {"type": HOSTILE, "detail": HOSTILE, "fingerprint": "f" * 16, "traceback": HOSTILE}
    end(claim(task), Actions.BURY, error=error, response={"body": HOSTILE})
    Task.objects.filter(pk=task.pk).update(name=HOSTILE, queue=HOSTILE, payload={HOSTILE: HOSTILE})
    addresses = [
        reverse(LIST), page_of(task), reverse("admin:index"), reverse("admin:tasks_deadletter_changelist"),
        reverse("admin:tasks_deadletter_group", args=["f" * 16]), reverse("admin:tasks_taskevent_changelist"),
        reverse("admin:tasks_deadletter_resurrect", args=["f" * 16]), reverse("admin:tasks_queue_changelist"),
    ]  # fmt: skip
    pages = [operator.get(address) for address in addresses]
    pages.append(bulk(operator, "resurrect", task))
    pages.append(bulk(operator, "retry", task, confirmed=True))
    pages.append(operator.get(reverse(LIST)))  # with the message about the refusal
    for page in pages:
        assert page.status_code in (200, 302)
        assert b"<script>alert" not in page.content
        assert b"<img src=x" not in page.content
    assert sum(b"&lt;script&gt;" in page.content for page in pages) > 5


def test_nothing_is_written_into_a_page_that_the_policy_forbids(operator, bulk):
    task = make_task("dead_lettered")
    for response in (operator.get(reverse(LIST)), operator.get(page_of(task)), bulk(operator, "resurrect", task)):
        html = response.content.decode()
        assert " style=" not in html
        assert "<style" not in html
        assert " onclick=" not in html
        assert html.count("<script") == html.count("<script src=")


# -- actions on many -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", States.values)
@pytest.mark.parametrize("action", VERBS)
def test_each_action_of_the_list_in_each_state(operator, bulk, action, status):
    task = make_task(status)
    assert bulk(operator, action, task).status_code == 200  # the preview
    assert Task.objects.get(pk=task.pk).version == task.version
    assert bulk(operator, action, task, confirmed=True).status_code == 302
    stored = Task.objects.get(pk=task.pk)
    allowed = status in TABLE[action]
    assert stored.version == task.version + allowed
    if allowed and status != States.PROCESSING:
        assert stored.status == TABLE[action][States(status)]


def test_without_the_permission_there_is_no_action(viewer, bulk):
    task = make_task("dead_lettered")
    html = viewer.get(reverse(LIST)).content.decode()
    assert 'name="action"' not in html
    assert 'value="resurrect"' not in html
    for confirmed in (False, True):
        assert bulk(viewer, "resurrect", task, confirmed=confirmed).status_code == 403
    assert Task.objects.get(pk=task.pk).status == "dead_lettered"


def test_operators_reach_only_what_they_see(person, at_desk, bulk, bob):
    half = at_desk(person("half", "view_task", "operate_tasks"))
    foreign = make_task("dead_lettered", owner=bob)
    bulk(half, "resurrect", foreign, confirmed=True)
    bulk(half, "resurrect", foreign, confirmed=True, tasks=str(foreign.pk))
    assert half.post(button_of(foreign, "resurrect")).status_code == 404
    assert Task.objects.get(pk=foreign.pk).status == "dead_lettered"


def test_nonsense_is_refused(operator):
    make_task()
    answer = operator.post(reverse(LIST), {"action": "cancel", "_selected_action": ["x"], "index": "0"})
    assert answer.status_code == 400
    assert operator.get(reverse(LIST), {"bogus": "1"}).status_code == 302


# -- one task ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", States.values)
def test_the_page_offers_what_the_state_allows(operator, viewer, status):
    task = make_task(status)
    html = operator.get(page_of(task)).content.decode()
    for action in VERBS:
        assert (button_of(task, action) in html) == (status in TABLE[action])
    assert "/operate/" not in viewer.get(page_of(task)).content.decode()


def test_a_button_acts_on_post_alone(operator, viewer):
    task = make_task("dead_lettered")
    assert operator.get(button_of(task, "resurrect")).status_code == 405
    assert viewer.post(button_of(task, "resurrect")).status_code == 403
    assert Task.objects.get(pk=task.pk).status == "dead_lettered"
    assert operator.post(button_of(task, "resurrect")).status_code == 302
    assert Task.objects.get(pk=task.pk).status == "pending"


def test_a_button_of_yesterday_says_that_it_is_too_late(operator):
    task = make_task("completed")
    html = operator.post(button_of(task, "cancel"), follow=True).content.decode()
    assert "not in a state that allows it" in html


@pytest.mark.parametrize("action", ["claim", "complete", "delete", "x"])
def test_only_an_operators_verbs_have_buttons(operator, action):
    assert operator.post(button_of(make_task(), action)).status_code == 404


def test_django_keeps_the_operators_log(operator):
    task = make_task("dead_lettered")
    operator.post(button_of(task, "resurrect"))
    html = operator.get(reverse("admin:tasks_task_history", args=[task.pk])).content.decode()
    assert "resurrect: dead_lettered → pending" in html


def test_a_form_of_somebody_elses_making_is_refused(django_user_model, bulk):
    client = Client(enforce_csrf_checks=True)
    client.force_login(django_user_model.objects.create_superuser("root"))
    task = make_task("dead_lettered")
    assert client.post(button_of(task, "resurrect")).status_code == 403
    assert bulk(client, "resurrect", task, confirmed=True).status_code == 403
