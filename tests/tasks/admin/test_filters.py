"""What narrows the lists, by the words of the address."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.admin.options import IncorrectLookupParameters
from django.urls import reverse
from django.utils import timezone

from tasks import submit
from tasks.admin.filters import MARGIN, created_from, created_until, moment
from tasks.models import Task
from tests.factories import make_task

pytestmark = pytest.mark.django_db
LIST = "admin:tasks_task_changelist"


@pytest.fixture
def listed(viewer):
    def ask(**query):
        return list(viewer.get(reverse(LIST), query).context["cl"].result_list)

    return ask


def strip(changelist):
    (spec,) = [spec for spec in changelist.filter_specs if hasattr(spec, "is_strip")]
    return spec


def test_by_status_queue_handler_and_error(listed):
    dead, other = make_task("dead_lettered", queue="a"), make_task("pending", name="test.fail")
    assert listed() == [other, dead]
    assert listed(status="dead_lettered") == listed(queue="a") == listed(error="f" * 16) == [dead]
    assert listed(name="test.fail") == listed(status="pending", queue="default") == [other]
    assert listed(status="bogus") == listed(queue="bogus") == listed(name="bogus") == listed(error="bogus") == []


def test_by_owner(listed, alice, bob):
    hers, his, nobodys = make_task(owner=alice), make_task(owner=bob), make_task()
    assert (listed(owner="alice"), listed(owner="bob"), listed(owner="-")) == ([hers], [his], [nobodys])
    assert listed(owner="carol") == []


def test_the_strip_counts_only_what_it_can_count_exactly(viewer):
    make_task("dead_lettered", queue="a")
    make_task("pending", queue="b")

    def counts(**query):
        changelist = viewer.get(reverse(LIST), query).context["cl"]
        return {choice["status"]: choice["count"] for choice in strip(changelist).choices(changelist)}

    assert counts()[""] == 2
    assert counts(queue="a") == {**dict.fromkeys(counts(), 0), "": 1, "dead_lettered": 1}
    assert counts(status="pending")["dead_lettered"] == 1
    assert set(counts(name="test.echo").values()) == {None}


def test_those_who_see_their_own_learn_no_numbers_and_no_names(person, at_desk, alice):
    make_task(owner=alice, queue="a")
    page = at_desk(person("own", "view_task")).get(reverse(LIST))
    assert "alice" not in page.content.decode()
    changelist = page.context["cl"]
    assert {choice["count"] for choice in strip(changelist).choices(changelist)} == {None}


def test_by_the_time_of_creation(listed):
    task = make_task()
    now = timezone.now()
    hour = dt.timedelta(hours=1)
    assert listed(created_after="1h") == listed(created_before=(now + hour).isoformat()) == [task]
    assert listed(created_after=(now + hour).isoformat()) == listed(created_before=(now - hour).isoformat()) == []
    assert listed(created_after=(now - hour).strftime("%Y-%m-%dT%H:%M"), created_before="2999-01-01") == [task]


def test_the_ids_bound_what_is_read_and_the_column_decides():
    """Also when the clock that made the id was off by less than the margin."""
    task = submit("test.echo")
    shifted = task.created_at + MARGIN / 2
    Task.objects.filter(pk=task.pk).update(created_at=shifted)
    assert Task.objects.filter(created_from(shifted)).exists()
    assert not Task.objects.filter(created_until(shifted)).exists()
    assert Task.objects.filter(created_until(shifted + dt.timedelta(seconds=1))).exists()


def test_a_moment_is_utc_unless_it_says_otherwise():
    assert moment("2026-11-02") == dt.datetime(2026, 11, 2, tzinfo=dt.UTC)
    assert moment("2026-11-02T03:04") == dt.datetime(2026, 11, 2, 3, 4, tzinfo=dt.UTC)
    assert moment("2026-11-02T03:04+02:00") == dt.datetime(2026, 11, 2, 1, 4, tzinfo=dt.UTC)
    assert abs(moment("24h") - timezone.now() + dt.timedelta(hours=24)) < dt.timedelta(minutes=1)


@pytest.mark.parametrize("text", ["x", "h", "2026-02-30", "0001-01-01", "9999-12-31", "1e9h", "99999h", "٣h", "-1h"])
def test_nonsense_is_no_moment(text, viewer):
    with pytest.raises(IncorrectLookupParameters):
        moment(text)
    assert viewer.get(reverse(LIST), {"created_after": text}).status_code == 302


@pytest.mark.parametrize("name", ["status", "queue", "name", "owner", "error"])
def test_a_value_that_no_database_takes_is_refused(viewer, name):
    make_task()
    assert viewer.get(reverse(LIST), {name: "a\x00b"}).status_code == 302


def test_the_menus_offer_what_there_is(viewer, alice):
    make_task(queue="reports", owner=alice)
    html = viewer.get(reverse(LIST)).content.decode()
    for query in ("?queue=reports", "?name=test.echo", "?name=callback", "?owner=alice", "?created_after=24h"):
        assert f'href="{query}"' in html


def test_one_filter_keeps_the_others(viewer):
    make_task(queue="reports")
    html = viewer.get(reverse(LIST), {"queue": "reports", "created_after": "1h"}).content.decode()
    assert "?created_after=1h&amp;queue=reports&amp;status=failed" in html
    assert '<input type="hidden" name="queue" value="reports">' in html
