"""One task over HTTP: what is shown of it, and what may be done to it by whom."""

from __future__ import annotations

import pytest

from tasks import lifecycle
from tasks.models import Task, TaskEvent, TaskLog
from tasks.states import TABLE, Actions, States
from tests.factories import claim, end, make_task
from tests.tasks.api.conftest import assert_problem

VERBS = ["retry", "resurrect", "cancel", "pause", "resume"]
NOWHERE = "/tasks/019abcde-f012-7345-8678-9abcdef01234"


def test_what_is_not_there_looks_like_what_is_not_yours(submitter, viewer, alice):
    foreign = make_task(owner=alice)
    for path in ("", "/status", "/events", "/attempts", "/logs"):
        hidden = assert_problem(submitter.get(f"/tasks/{foreign.pk}{path}"), 404)
        assert hidden == assert_problem(submitter.get(NOWHERE + path), 404)
        assert viewer.get(f"/tasks/{foreign.pk}{path}").status_code == 200


@pytest.mark.parametrize("id", ["x", "1", "019abcde-f012-7345-8678-9abcdef0123", "%00"])
def test_what_is_no_id_is_nowhere(viewer, id):
    assert_problem(viewer.get(f"/tasks/{id}"), 404)


def test_history(submitter):
    task = make_task("failed", owner=submitter.user)
    rows = submitter.get(f"/tasks/{task.pk}/events").json()["results"]
    assert [(row["version"], row["type"], row["previous_status"], row["status"], row["attempt"]) for row in rows] == [
        (1, "task_created", None, "pending", 0),
        (2, "task_updated", "pending", "processing", 1),
        (3, "task_updated", "processing", "failed", 1),
    ]
    assert list(rows[0]) == [
        "version", "type", "previous_status", "status", "attempt", "actor", "message", "timestamp",
    ]  # fmt: skip


def test_history_comes_in_parts(submitter):
    task = make_task("failed", owner=submitter.user)
    first = submitter.get(f"/tasks/{task.pk}/events", {"limit": 2}).json()
    assert ([row["version"] for row in first["results"]], first["next"]) == ([1, 2], 2)
    rest = submitter.get(f"/tasks/{task.pk}/events", {"limit": 2, "after": first["next"]}).json()
    assert ([row["version"] for row in rest["results"]], rest["next"]) == ([3], None)


def test_attempts_end_with_the_one_that_runs(submitter):
    task = make_task("failed", owner=submitter.user)
    lifecycle.retry(task.pk, "test")
    running = claim(Task.objects.get(pk=task.pk))
    first, second = submitter.get(f"/tasks/{task.pk}/attempts").json()["results"]
    assert (first["number"], first["outcome"], first["error"]["detail"]) == (1, "failed", "it broke")
    assert (second["number"], second["outcome"], second["finished_at"]) == (2, None, None)
    assert second["worker"] == str(running.worker_id)
    part = submitter.get(f"/tasks/{task.pk}/attempts", {"limit": 1}).json()
    assert ([row["number"] for row in part["results"]], part["next"]) == ([1], 1)
    end(running, Actions.COMPLETE)
    assert [row["outcome"] for row in submitter.get(f"/tasks/{task.pk}/attempts").json()["results"]] == [
        "failed",
        "completed",
    ]


def test_logs_after_a_line(submitter):
    task = make_task(owner=submitter.user)
    TaskLog.objects.bulk_create(
        TaskLog(task=task, seq=seq, number=1, level="info", message=f"line {seq}", timestamp=task.created_at)
        for seq in (1, 2, 3)
    )
    rows = submitter.get(f"/tasks/{task.pk}/logs", {"after": 1}).json()["results"]
    assert [(row["seq"], row["message"]) for row in rows] == [(2, "line 2"), (3, "line 3")]


@pytest.mark.parametrize("query", [{"after": -1}, {"after": "x"}, {"limit": 0}, {"limit": 1001}, {"seq": 1}])
def test_nonsense_parameters_are_named(submitter, query):
    task = make_task(owner=submitter.user)
    assert_problem(submitter.get(f"/tasks/{task.pk}/logs", query), 400, *query)


# -- polling -------------------------------------------------------------------------------------------------------


def test_the_status_for_polling(submitter):
    task = claim(make_task(owner=submitter.user))
    lifecycle.report([lifecycle.Progress(task.pk, task.lease, 50.0, "half")], "test")
    body = submitter.get(f"/tasks/{task.pk}/status").json()
    assert body.pop("updated_at")
    assert body == {
        "job_id": str(task.pk), "status": "processing", "percent": 50.0, "message": "half", "result": None,
        "error": None,
    }  # fmt: skip


def test_nothing_new_is_304(submitter):
    task = make_task(owner=submitter.user)
    path = f"/tasks/{task.pk}/status"
    etag = submitter.get(path)["ETag"]
    for header in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        same = submitter.get(path, **{"If-None-Match": header})
        assert (same.status_code, same.content, same["ETag"]) == (304, b"", etag)
    claim(task)
    changed = submitter.get(path, **{"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed["ETag"] != etag


# -- actions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", States.values)
@pytest.mark.parametrize("verb", VERBS)
def test_an_operator_gets_what_the_state_allows(operator, verb, status):
    task = make_task(status)
    response = operator.post(f"/tasks/{task.pk}/{verb}")
    if status not in TABLE[Actions(verb)]:
        assert_problem(response, 409)
        return
    body = response.json()
    assert response.status_code == 200
    assert body == operator.get(f"/tasks/{task.pk}").json()
    assert body["version"] == task.version + 1
    assert body["requested"] == (verb if status == "processing" else None)
    assert TaskEvent.objects.get(task_id=task.pk, version=body["version"]).actor == "otto"


@pytest.mark.parametrize(("verb", "status"), [("cancel", "pending"), ("pause", "pending"), ("resume", "paused")])
@pytest.mark.parametrize(("scopes", "expected"), [(("submit",), 200), (("operate",), 200), (("read",), 403)])
def test_owners_hold_their_own(api, verb, status, scopes, expected):
    owner = api("sam", "submitter", scopes=scopes)
    task = make_task(status, owner=owner.user)
    assert owner.post(f"/tasks/{task.pk}/{verb}").status_code == expected


@pytest.mark.parametrize(("verb", "status"), [("retry", "failed"), ("resurrect", "dead_lettered")])
def test_to_start_again_is_an_operators(submitter, verb, status):
    task = make_task(status, owner=submitter.user)
    assert "operate" in assert_problem(submitter.post(f"/tasks/{task.pk}/{verb}"), 403)["detail"]


@pytest.mark.parametrize("verb", VERBS)
def test_nobody_touches_what_they_do_not_see(submitter, alice, verb):
    task = make_task("failed", owner=alice)
    assert_problem(submitter.post(f"/tasks/{task.pk}/{verb}"), 404)
    assert_problem(submitter.post(f"{NOWHERE}/{verb}"), 404)
    assert Task.objects.get(pk=task.pk).version == task.version


def test_a_second_cancel_of_a_running_task_is_a_conflict(operator):
    task = make_task("processing")
    assert operator.post(f"/tasks/{task.pk}/cancel").json()["requested"] == "cancel"
    assert_problem(operator.post(f"/tasks/{task.pk}/cancel"), 409)
