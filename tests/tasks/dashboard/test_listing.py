"""Which tasks the list shows."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from tasks.access import Principal
from tasks.dashboard import listing
from tasks.exceptions import InvalidTask
from tests.factories import make_task

pytestmark = pytest.mark.django_db


def ask(reader, **parameters):
    return listing.listing(RequestFactory().get("/", parameters), Principal(reader))


def test_the_newest_come_first(operator):
    tasks = [make_task() for _ in range(3)]
    assert ask(operator).tasks == tasks[::-1]


def test_a_reader_sees_what_is_theirs(alice, bob):
    mine, _ = make_task(owner=bob), make_task(owner=alice)
    assert ask(bob).tasks == [mine]


@pytest.mark.parametrize(
    "filters",
    [
        {"status": "failed"},
        {"queue": "special"},
        {"name": "test.fail"},
        {"tag": "eu"},
        {"q": "needle"},
        {"owner": "bob"},
    ],
)
def test_filters_narrow_the_list(operator, bob, filters):
    make_task()
    wanted = make_task(
        "failed", name="test.fail", queue="special", tags=["eu"], payload={"detail": "a needle"}, owner=bob
    )
    shown = ask(operator, **filters)
    assert shown.tasks == [wanted]
    assert shown.filters == filters


def test_an_id_is_found_by_searching_for_it(operator):
    make_task()
    wanted = make_task()
    assert ask(operator, q=f" {wanted.pk} ").tasks == [wanted]


def test_errors_are_found_by_their_fingerprint(operator):
    wanted = make_task("failed")
    make_task()
    assert ask(operator, error="f" * 16).tasks == [wanted]


@pytest.mark.parametrize(
    ("filters", "field"),
    [({"status": "asleep"}, "status"), ({"q": "\0"}, "q"), ({"cursor": "x"}, "cursor"), ({"q": "x" * 201}, "q")],
)
def test_nonsense_is_named(operator, filters, field):
    with pytest.raises(InvalidTask) as raised:
        ask(operator, **filters)
    assert field in str(raised.value)


def test_what_is_no_filter_is_passed_over(operator):
    task = make_task()
    assert ask(operator, utm_source="mail", queue="").tasks == [task]


def test_pages_lead_to_each_other(operator, monkeypatch):
    monkeypatch.setattr(listing, "ROWS", 2)
    tasks = [make_task() for _ in range(3)][::-1]
    first = ask(operator)
    assert (first.tasks, first.newer) == (tasks[:2], None)
    older = listing.listing(RequestFactory().get(first.older), Principal(operator))
    assert (older.tasks, older.older) == (tasks[2:], None)
    assert listing.listing(RequestFactory().get(older.newer), Principal(operator)).tasks == tasks[:2]


def test_rows_are_those_that_the_list_would_show(operator):
    failed, pending = make_task("failed"), make_task()
    request = RequestFactory().get("/", {"status": "failed"})
    assert listing.rows(request, Principal(operator), {failed.pk, pending.pk}) == [failed]


def test_rows_of_others_are_not_shown(alice, bob):
    request = RequestFactory().get("/")
    assert listing.rows(request, Principal(bob), {make_task(owner=alice).pk}) == []
