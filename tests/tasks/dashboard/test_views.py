"""The pages: who sees what, what is in them, and that nothing in them runs."""

from __future__ import annotations

import re
import uuid
from unittest.mock import Mock

import pytest
from django.db import OperationalError
from django.template.loader import render_to_string
from django.test import Client

from tasks import cursor, lifecycle, logs
from tasks.access import Principal
from tasks.database import database_now
from tasks.lifecycle import Progress
from tasks.models import Task
from tasks.states import Actions
from tests.factories import claim, end, make_task

pytestmark = pytest.mark.django_db

PART = {"HX-Request": "true"}
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'{{ 1 }}"


def text(response):
    assert response.status_code == 200
    return response.content.decode()


# -- who


def test_strangers_sign_in_first():
    page = Client().get("/?status=failed")
    assert page.status_code == 302
    assert page["Location"] == "/login?next=/%3Fstatus%3Dfailed"


@pytest.mark.parametrize("path", ["/", "/tasks/rows", f"/tasks/{uuid.uuid4()}/"])
def test_an_open_page_of_somebody_signed_out_is_told_to_reload(path):
    part = Client().get(path, headers=PART)
    assert (part.status_code, part["HX-Refresh"]) == (401, "true")


def test_foreign_and_unknown_tasks_look_the_same(bobs_browser, alice):
    for id in (make_task(owner=alice).pk, uuid.uuid4()):
        assert bobs_browser.get(f"/tasks/{id}/").status_code == 404


def test_without_rights_there_is_nothing_to_act_with(bobs_browser, bob):
    make_task("failed", owner=bob)
    page = text(bobs_browser.get("/"))
    assert 'data-action="retry"' not in page
    assert 'data-action="cancel"' in page
    assert 'data-open="submit"' not in page
    assert "data-count" not in page


@pytest.mark.parametrize("path", ["/", "/tasks/rows", "/login"])
def test_pages_are_kept_by_nobody(browser, path):
    assert "no-store" in browser.get(path)["Cache-Control"]


@pytest.mark.parametrize("path", ["/", "/tasks/rows"])
def test_pages_only_show(browser, path):
    assert browser.post(path).status_code == 405


def test_a_database_that_is_away_is_not_our_fault(browser, monkeypatch):
    monkeypatch.setattr(Principal, "visible", Mock(side_effect=OperationalError("gone")))
    page = browser.get("/")
    assert (page.status_code, page["Retry-After"]) == (503, "5")
    assert "The database is away" in page.content.decode()


@pytest.mark.parametrize("code", [400, 403, 404, 429, 500, 503])
def test_error_pages_need_nothing(code):
    assert str(code) in render_to_string(f"{code}.html")


# -- the list


def test_the_list_shows_tasks_and_counts(browser):
    task = make_task("dead_lettered", name="test.fail", tags=["eu"])
    page = text(browser.get("/"))
    assert f'id="task-{task.pk}"' in page
    assert "it broke" in page
    assert re.search(r'data-count="dead_lettered">1<', page)
    assert re.search(r'data-count="workers">1<', page)


def test_a_part_is_the_list_alone(browser):
    part = text(browser.get("/", headers=PART))
    assert part.startswith('<div id="list"')
    assert "<html" not in part


def test_the_list_knows_the_position_in_the_log_that_it_shows(browser):
    make_task()
    before = cursor.head()
    assert f'data-cursor="{before}"' in text(browser.get("/"))


def test_rows_are_rendered_by_id(browser):
    wanted, other = make_task(), make_task()
    part = text(browser.get(f"/tasks/rows?ids={wanted.pk}"))
    assert part.lstrip().startswith("<tr")
    assert str(wanted.pk) in part
    assert str(other.pk) not in part


@pytest.mark.parametrize("query", ["status=asleep", "cursor=x", "q=%00"])
def test_a_nonsense_address_is_a_bad_request(browser, query):
    assert browser.get(f"/?{query}").status_code == 400


def test_nonsense_ids_are_a_bad_request(browser):
    assert browser.get("/tasks/rows?ids=1,2").status_code == 400


def test_an_empty_hub_explains_how_to_begin(browser):
    assert "curl http://testserver/api/v1/tasks" in text(browser.get("/"))


def test_no_match_is_not_an_empty_hub(browser):
    page = text(browser.get("/?status=failed"))
    assert "No task matches" in page
    assert "curl" not in page


def test_a_row_more_is_no_query_more(browser, django_assert_num_queries, django_assert_max_num_queries):
    for _ in range(3):
        claim(make_task())
    browser.get("/")
    with django_assert_max_num_queries(16) as few:
        browser.get("/")
    for _ in range(10):
        claim(make_task())
    with django_assert_num_queries(len(few)):
        browser.get("/")


# -- a task


def test_a_task_tells_its_story(browser, alice):
    task = claim(make_task(owner=alice))
    lifecycle.report([Progress(task.pk, task.lease, 42.9, "half way")], "w")
    logs.append(task, [logs.LogLine("warning", "strange but fine", database_now())])
    page = text(browser.get(f"/tasks/{task.pk}/"))
    for said in ("42%", "half way", "Started", "Created", "alice", "strange but fine", "test:1"):
        assert said in page
    assert 'data-action="cancel"' in page


@pytest.mark.parametrize("path", ["/", "/tasks/{}/"])
def test_it_says_how_much_longer_a_task_will_run(browser, path):
    task = claim(make_task())
    lifecycle.report([Progress(task.pk, task.lease, 42.9, "half way", left=125)], "w")
    assert "about 2m 0" in text(browser.get(path.format(task.pk)))


def test_progress_is_no_event_of_the_timeline(browser):
    task = claim(make_task())
    lifecycle.report([Progress(task.pk, task.lease, percent, "on") for percent in (1, 2)], "w")
    assert text(browser.get(f"/tasks/{task.pk}/")).count('class="event"') == 2


def test_a_failure_stands_on_top(browser):
    page = text(browser.get(f"/tasks/{make_task('dead_lettered').pk}/"))
    assert re.search(r'class="banner" data-status="dead_lettered".*RuntimeError.*it broke', page, re.DOTALL)


def test_a_result_is_shown(browser):
    task = end(claim(make_task()), Actions.COMPLETE, result={"pages": 72})
    assert "&quot;pages&quot;: 72" in text(browser.get(f"/tasks/{task.pk}/"))


def test_secrets_are_dots(browser):
    task = make_task()
    Task.objects.filter(pk=task.pk).update(
        payload={"api_key": "s3cr3t"}, callback_url="https://x.example/?token=s3cr3t"
    )
    for path in ("/", f"/tasks/{task.pk}/"):
        assert "s3cr3t" not in text(browser.get(path))


def test_a_task_in_part(browser):
    part = text(browser.get(f"/tasks/{make_task().pk}/", headers=PART))
    assert "<html" not in part
    assert 'data-region="timeline"' in part


# -- nothing runs


@pytest.fixture
def hostile(alice):
    """A task that says hostile things wherever a user's words can stand."""
    task = make_task("dead_lettered", owner=alice)
    words = {"type": HOSTILE, "detail": HOSTILE, "fingerprint": "f" * 16}
    Task.objects.filter(pk=task.pk).update(
        name=HOSTILE, queue=HOSTILE, tags=[HOSTILE], payload={HOSTILE: HOSTILE}, error=words, progress_message=HOSTILE
    )
    task.attempts.update(error={**words, "traceback": HOSTILE}, response={"body": HOSTILE})
    logs.append(task, [logs.LogLine("info", HOSTILE, database_now())])
    return task


def test_a_users_words_are_only_words(browser, hostile):
    for path in ("/", f"/tasks/{hostile.pk}/", "/?tag=" + HOSTILE.replace("#", "")[:64]):
        page = text(browser.get(path))
        assert "<script>alert" not in page
        assert "<img" not in page


@pytest.mark.parametrize("path", ["/", "/login", "/signin/x", "/nowhere"])
def test_no_page_needs_inline_script_or_style(browser, path):
    page = browser.get(path).content.decode()
    assert "<html" in page
    assert not re.search(r"<script(?![^>]*(src=|application/json))", page)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page)
