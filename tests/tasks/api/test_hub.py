"""Workers, tickets and the event log over HTTP."""

from __future__ import annotations

import datetime as dt

import pytest

from tasks import access, cursor
from tasks.models import Marker, TaskEvent
from tests.factories import claim, make_task, make_worker
from tests.tasks.api.conftest import assert_problem


def test_workers_and_what_they_run_that_one_may_see(operator, api, alice):
    worker = make_worker(host="h1", pid=7)
    task = claim(make_task(owner=alice), worker)
    make_worker(stopped_at=dt.datetime.now(dt.UTC))
    (row,) = operator.get("/workers").json()["results"]
    assert row.pop("started_at")
    assert 0 <= row.pop("heartbeat_age_s") < 60
    (current,) = row.pop("tasks")
    assert (current["id"], current["name"], current["queue"]) == (str(task.pk), "test.echo", "default")
    assert row == {"id": str(worker.pk), "host": "h1", "pid": 7, "role": "plain", "online": True}


def test_a_worker_whose_lease_ran_out_is_not_online(viewer):
    make_worker(expires_at=dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1))
    assert [row["online"] for row in viewer.get("/workers").json()["results"]] == [False]


def test_a_ticket_has_the_rights_of_what_made_it(api):
    client = api("sam", "submitter", scopes=("read",))
    body = client.post("/stream-tickets").json()
    principal = access.redeem_ticket(body["ticket"])
    assert (principal.user, principal.scopes) == (client.user, {"read"})
    assert access.redeem_ticket(body["ticket"]) is None
    assert body["expires_at"].endswith("Z")


def test_a_ticket_takes_the_scope_read(api):
    assert_problem(api("sam", "submitter", scopes=("submit",)).post("/stream-tickets"), 403)


# -- the event log -------------------------------------------------------------------------------------------------


def read_on(client, **query):
    """All events from there on, page by page."""
    found = []
    while True:
        page = client.get("/events", query).json()
        if not page["results"]:
            return found, page["cursor"]
        assert page["cursor"] != query.get("since")
        found += page["results"]
        query["since"] = page["cursor"]


def test_the_log_from_its_beginning_and_from_where_one_stopped(viewer):
    task = make_task("completed")
    events, position = read_on(viewer, limit=2)
    assert [event["version"] for event in events] == [1, 2, 3]
    assert [event["type"] for event in events] == ["task_created", "task_updated", "task_updated"]
    assert events[0]["task_id"] == str(task.pk)
    assert events[-1]["cursor"] == position
    assert viewer.get("/events", {"since": position}).json() == {
        "results": [], "cursor": position, "recovered": True,
    }  # fmt: skip
    other = make_task()
    assert [event["task_id"] for event in read_on(viewer, since=position)[0]] == [str(other.pk)]


def test_each_event_has_the_cursor_after_it(viewer):
    make_task("completed")
    events = viewer.get("/events").json()["results"]
    rest = viewer.get("/events", {"since": events[0]["cursor"]}).json()["results"]
    assert rest == events[1:]


def test_now_is_the_end_of_the_log(viewer):
    make_task()
    page = viewer.get("/events", {"since": "now"}).json()
    assert page["results"] == []
    make_task("failed")
    assert len(viewer.get("/events", {"since": page["cursor"]}).json()["results"]) == 3


def test_of_one_task(viewer):
    make_task()
    task = make_task()
    assert [event["task_id"] for event in viewer.get("/events", {"task_id": str(task.pk)}).json()["results"]] == [
        str(task.pk)
    ]


def test_only_events_of_visible_tasks(submitter, alice):
    make_task(owner=alice)
    mine, foreign = make_task(owner=submitter.user), make_task(owner=alice)
    assert {event["task_id"] for event in read_on(submitter)[0]} == {str(mine.pk)}
    assert read_on(submitter, task_id=str(foreign.pk))[0] == []


def test_a_cursor_whose_log_is_gone_is_not_recovered(viewer):
    make_task()
    position = viewer.get("/events").json()["cursor"]
    Marker.objects.filter(name=cursor.EPOCH).update(value={"epoch": "00000000"})
    page = viewer.get("/events", {"since": position}).json()
    assert (page["results"], page["recovered"]) == ([], False)
    assert viewer.get("/events", {"since": page["cursor"]}).json()["recovered"] is True


def test_a_cursor_that_retention_has_passed_is_not_recovered(viewer):
    make_task()
    position = viewer.get("/events").json()["cursor"]
    make_task()
    TaskEvent.objects.order_by("id").first().delete()
    assert viewer.get("/events", {"since": position}).json()["recovered"] is False


@pytest.mark.parametrize(
    "query", [{"since": "x"}, {"since": "%00"}, {"task_id": "x"}, {"limit": 0}, {"limit": 501}, {"cursor": "x"}]
)
def test_nonsense_is_named(viewer, query):
    assert_problem(viewer.get("/events", query), 400, *query)
