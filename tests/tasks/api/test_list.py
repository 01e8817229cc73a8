"""The list of tasks: filters, order, pages that nothing is lost between, and searches that say how far they looked."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from tasks.api import pages, queries, search
from tasks.models import Task
from tests.factories import make_task
from tests.tasks.api.conftest import assert_problem


def ids(tasks):
    return [str(task.pk) for task in tasks]


def listed(client, **query):
    response = client.get("/tasks", query)
    assert response.status_code == 200, response.content
    return [task["id"] for task in response.json()["results"]]


def walk(client, direction="next", **query):
    """All results by following the links, and the number of pages."""
    page = client.get("/tasks", query).json()
    found, pages = [page["results"]], 1
    while page[direction]:
        page = client.get(page[direction]).json()
        found.append(page["results"])
        pages += 1
    return [task["id"] for results in found for task in results], pages


def test_the_newest_come_first_and_only_what_is_visible(submitter, viewer, alice):
    mine, hers = make_task(owner=submitter.user), make_task(owner=alice)
    assert listed(viewer) == ids([hers, mine])
    assert listed(submitter) == ids([mine])
    assert listed(viewer, ordering="created_at") == ids([mine, hers])


def test_filters(viewer, alice, bob):
    plain = make_task(owner=alice)
    other = make_task("failed", name="test.fail", queue="reports", owner=bob, tags=["monthly"])
    for query in (
        {"status": "failed"},
        {"queue": "reports"},
        {"name": "test.fail"},
        {"tag": "monthly"},
        {"owner": "bob"},
        {"error": "f" * 16},
        {"q": "reports", "status": "failed"},
        {"status": "failed", "queue": "reports", "owner": "bob", "tag": "monthly", "q": "BROKE"},
    ):
        assert listed(viewer, **query) == (ids([other]) if query != {"q": "reports", "status": "failed"} else [])
    assert listed(viewer, status="failed", owner="alice") == []
    assert listed(viewer, owner="nobody") == []
    assert listed(viewer, tag="month") == []
    assert listed(viewer, status="pending") == ids([plain])


def test_filters_by_creation(viewer):
    old, new = make_task(), make_task()
    Task.objects.filter(pk=old.pk).update(created_at=new.created_at - dt.timedelta(minutes=30))
    between = (new.created_at - dt.timedelta(minutes=10)).isoformat()
    assert listed(viewer, created_after=between) == ids([new])
    assert listed(viewer, created_before=between) == ids([old])
    assert listed(viewer, created_after=between.replace("+00:00", "Z")) == ids([new])
    assert viewer.get(f"/tasks?created_after={between}").json()["results"][0]["id"] == str(new.pk)  # + as it comes


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=open", "status"),
        ("status=failed&status=pending", "status"),
        ("state=failed", "state"),
        ("queue=a b", "queue"),
        ("q=", "q"),
        ("q=%00", "q"),
        (f"q={'x' * 201}", "q"),
        ("created_after=yesterday", "created_after"),
        ("created_after=2026-11-22", "created_after"),
        ("created_after=2026-11-22T10:00:00", "created_after"),
        ("created_before=0001-01-01T00:00:00%2B14:00", "created_before"),
        ("created_before=9999-12-31T23:59:59-14:00", "created_before"),
        ("error=xyz", "error"),
        ("ordering=priority", "ordering"),
        ("ordering=-id", "ordering"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=1e9", "limit"),
        ("limit=null", "limit"),
        ("name=%ff", "name"),
        ("page_size=x", "page_size"),
        ("cursor=x", "cursor"),
    ],
)
def test_nonsense_is_refused_by_name(viewer, query, field):
    assert_problem(viewer.get(f"/tasks?{query}"), 400, field)


# -- pages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordering", ["created_at", "-created_at", "finished_at", "-finished_at"])
def test_pages_hold_every_task_once_in_order(viewer, ordering):
    tasks = [make_task("completed") for _ in range(7)]
    tied = [task.pk for task in tasks[:4]]
    Task.objects.filter(pk__in=tied).update(finished_at=tasks[0].finished_at)
    expected = ids(reversed(tasks) if ordering.startswith("-") else tasks)
    found, pages = walk(viewer, ordering=ordering, limit=2)
    assert (found, pages) == (expected, 4)


@pytest.mark.parametrize("ordering", ["-created_at", "finished_at"])
def test_the_way_back_is_the_same(viewer, ordering):
    for _ in range(5):
        make_task("completed")
    first = viewer.get("/tasks", {"ordering": ordering, "limit": 2}).json()
    second = viewer.get(first["next"]).json()
    third = viewer.get(second["next"]).json()
    assert first["previous"] is None
    assert third["next"] is None
    assert viewer.get(third["previous"]).json()["results"] == second["results"]
    assert viewer.get(second["previous"]).json()["results"] == first["results"]
    assert viewer.get(second["previous"]).json()["previous"] is None


def test_new_tasks_shift_nothing(viewer):
    old = [make_task() for _ in range(4)]
    first = viewer.get("/tasks", {"limit": 2}).json()
    make_task()
    assert [task["id"] for task in viewer.get(first["next"]).json()["results"]] == ids([old[1], old[0]])


def test_links_keep_the_filters(viewer):
    for status in ("failed", "pending", "failed", "failed"):
        make_task(status)
    found, pages = walk(viewer, status="failed", page_size=1)
    assert (len(found), pages) == (3, 3)


def test_a_cursor_is_of_one_order(viewer):
    make_task(), make_task()
    link = viewer.get("/tasks", {"limit": 1}).json()["next"]
    assert_problem(viewer.get(link + "&ordering=created_at"), 400, "cursor")


def test_an_unfinished_task_is_in_no_list_by_its_end(viewer):
    make_task()
    assert listed(viewer, ordering="finished_at") == []


# -- search --------------------------------------------------------------------------------------------------------


def test_what_is_searched(viewer):
    by_name = make_task(name="test.fail")
    by_tag = make_task(tags=["Quarterly"])
    by_payload = make_task(payload={"value": 'Zürich "west"\\'})
    by_error = make_task("failed")
    assert listed(viewer, q="FAIL") == ids([by_name])
    assert listed(viewer, q="quarter") == ids([by_tag])
    assert listed(viewer, q="zürich") == ids([by_payload])
    assert listed(viewer, q='"west"\\') == ids([by_payload])
    assert listed(viewer, q="it broke") == ids([by_error])
    assert listed(viewer, q="%") == []
    assert listed(viewer, q="_") == []


def test_a_masked_secret_cannot_be_guessed(viewer):
    make_task(name=None, callback_url="https://example.org/", payload={"password": "hunter2", "user": "anna"})
    assert len(listed(viewer, q="anna")) == 1
    assert listed(viewer, q="hunter") == []


def test_a_search_says_how_far_it_looked_and_goes_on_from_there(viewer, monkeypatch):
    monkeypatch.setattr(search, "WINDOW", 4)
    wanted = [make_task(tags=["x"] if n in (1, 8) else []) for n in range(10)]
    first = viewer.get("/tasks", {"tag": "x"}).json()
    assert first["searched"]["complete"] is False
    found, pages = walk(viewer, tag="x")
    assert (found, pages) == (ids([wanted[8], wanted[1]]), 3)


def test_a_search_that_saw_everything_says_so(viewer):
    make_task(tags=["x"])
    body = viewer.get("/tasks", {"tag": "x"}).json()
    assert (body["searched"]["complete"], body["next"]) == (True, None)


def test_pages_of_a_search(viewer, monkeypatch):
    monkeypatch.setattr(search, "WINDOW", 5)
    wanted = [make_task(tags=["x"]) for _ in range(7)]
    found, _ = walk(viewer, tag="x", limit=2)
    assert found == ids(reversed(wanted))


def test_a_page_takes_as_many_queries_whatever_it_holds(viewer, alice, django_assert_max_num_queries):
    for _ in range(5):
        make_task(owner=alice)
    viewer.get("/tasks")  # its token's first use is noted
    with django_assert_max_num_queries(5):
        viewer.get("/tasks")


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ({"status": "dead_lettered"}, "task_status"),
        ({"status": "failed", "queue": "a"}, "task_queue"),
        ({"name": "test.echo"}, "task_name"),
        ({"owner": "alice", "status": "failed"}, "task_owner_status"),
        ({"owner": "alice"}, "task_owner"),
    ],
)
def test_the_first_page_of_a_list_is_the_end_of_an_index(alice, query, index):
    """SQLite's plan: no row is read that is not shown, and none is sorted."""
    rows = queries.filtered(Task.objects.all(), msgspec.convert(query, queries.TaskQuery))
    plan = pages.Position("-created_at").beyond(rows)[:51].explain()
    assert f"USING INDEX {index} (" in plan
    assert "TEMP B-TREE" not in plan
