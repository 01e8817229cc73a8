"""Pipelines over REST: submitting, reading, operating, and who may."""

from __future__ import annotations

import uuid

import pytest

from tasks.masking import MASK
from tasks.models import Pipeline, Task
from tasks.states import Actions
from tasks.testing import run_pending
from tests.tasks.api.conftest import assert_problem
from tests.tasks.pipelines.factories import make_pipeline, now, run, statuses, step

FIELDS = [
    "id", "name", "pipeline_type", "status", "input", "result", "error", "current_step", "total_steps", "steps",
    "owner", "version", "created_at", "started_at", "finished_at", "updated_at",
]  # fmt: skip
BODY = {
    "name": "nightly",
    "input": {"value": "x"},
    "steps": [
        {"name": "extract", "handler": "test.echo", "payload": {"$input": True}},
        {"name": "load", "handler": "test.echo", "payload": {"$result": "extract"}},
    ],
}


def test_a_pipeline_from_its_submission_to_its_end(submitter):
    submitted = submitter.post("/pipelines", BODY)
    assert submitted.status_code == 201
    body = submitted.json()
    assert list(body) == FIELDS
    assert submitted["Location"].endswith(f"/api/v1/pipelines/{body['id']}")
    assert (body["status"], body["owner"], body["pipeline_type"]) == ("pending", "sam", "sequential")
    extract, load = body["steps"]
    assert load == {
        "name": "load", "index": 1, "status": "waiting", "task_id": None, "depends_on": ["extract"], "started_at": None,
        "finished_at": None,
    }  # fmt: skip
    task = submitter.get(f"/tasks/{extract['task_id']}").json()
    assert (task["pipeline"], task["step"]) == (body["id"], "extract")
    run_pending()
    done = submitter.get(f"/pipelines/{body['id']}").json()
    assert (done["status"], done["current_step"], done["total_steps"]) == ("completed", 2, 2)
    assert done["result"] == {"value": "x"}
    tasks = submitter.get("/tasks", {"pipeline": body["id"]}).json()["results"]
    assert [task["step"] for task in tasks] == ["load", "extract"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"steps": []}, "steps"),
        ({"steps": [step("a", "b"), step("b", "a")], "pipeline_type": "dag"}, "steps[0].depends_on[0]"),
        ({"steps": [step("a"), step("b", "x")]}, "steps[1].depends_on[0]"),
        ({"steps": [step("a", handler="no.such")]}, "steps[0].handler"),
        ({"pipeline_type": "ring"}, "pipeline_type"),
        ({"more": 1}, "more"),
    ],
)
def test_what_is_wrong_is_named(submitter, change, field):
    problem = submitter.post("/pipelines", BODY | change).json()
    assert problem["status"] == 400
    assert problem["errors"][0]["field"] == field
    assert not Pipeline.objects.exists()


def test_a_large_body_has_room_and_a_larger_one_has_not(submitter):
    steps = [step(f"s{n}", payload={"value": "x" * 200_000}) for n in range(10)]
    assert submitter.post("/pipelines", {"name": "large", "steps": steps}).status_code == 201
    assert_problem(submitter.post("/pipelines", b'"' + b"x" * 8 * 1024 * 1024 + b'"'), 413, "")
    assert_problem(submitter.post("/pipelines", BODY | {"input": "x" * 300_000}), 413, "input")


def test_the_same_key_creates_one_pipeline(submitter):
    first = submitter.post("/pipelines", BODY, Idempotency_Key="k")
    again = submitter.post("/pipelines", BODY, Idempotency_Key="k")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert_problem(submitter.post("/pipelines", BODY | {"name": "other"}, Idempotency_Key="k"), 422)
    assert (Pipeline.objects.count(), Task.objects.count()) == (1, 1)


def test_secrets_of_the_input_are_masked(submitter):
    body = submitter.post("/pipelines", BODY | {"input": {"value": "x", "password": "canary"}}).json()
    assert body["errors"]  # test.echo takes no password, and says so
    made = make_pipeline(step("a"), input={"password": "canary"}, owner=submitter.user)
    assert submitter.get(f"/pipelines/{made.pk}").json()["input"] == {"password": MASK}


# -- the list ------------------------------------------------------------------------------------------------------


def test_everybody_sees_their_own_and_viewers_all(submitter, viewer, alice):
    own, other = make_pipeline(owner=submitter.user), make_pipeline(owner=alice)
    assert [row["id"] for row in submitter.get("/pipelines").json()["results"]] == [str(own.pk)]
    assert [row["id"] for row in viewer.get("/pipelines").json()["results"]] == [str(other.pk), str(own.pk)]
    assert_problem(submitter.get(f"/pipelines/{other.pk}"), 404)
    assert_problem(viewer.get(f"/pipelines/{uuid.uuid4()}"), 404)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "completed"}, ["b"]),
        ({"name": "a"}, ["a"]),
        ({"pipeline_type": "parallel"}, ["c"]),
        ({"owner": "alice"}, ["a"]),
        ({"owner": "nobody"}, []),
        ({"ordering": "created_at"}, ["a", "b", "c"]),
        ({}, ["c", "b", "a"]),
    ],
)
def test_filters(viewer, alice, query, found):
    make_pipeline(owner=alice, name="a")
    run(make_pipeline(name="b"), "extract", "load")
    make_pipeline(step("x"), name="c", pipeline_type="parallel")
    assert [row["name"] for row in viewer.get("/pipelines", query).json()["results"]] == found


def test_pages(viewer, django_assert_max_num_queries):
    made = [str(make_pipeline().pk) for _ in range(3)]
    first = viewer.get("/pipelines", {"limit": 2}).json()
    second = viewer.get(first["next"]).json()
    assert [row["id"] for row in first["results"] + second["results"]] == made[::-1]
    assert all(len(row["steps"]) == 2 for row in first["results"])
    with django_assert_max_num_queries(8):
        viewer.get("/pipelines")


def test_an_unknown_filter_is_an_error(viewer):
    assert_problem(viewer.get("/pipelines", {"queue": "x"}), 400, "queue")
    assert_problem(viewer.get("/pipelines", {"status": "waiting"}), 400, "status")


# -- verbs ---------------------------------------------------------------------------------------------------------


def test_owners_hold_and_cancel_their_own(submitter):
    pipeline = make_pipeline(owner=submitter.user)
    for verb, status in (("pause", "paused"), ("resume", "pending"), ("cancel", "canceled")):
        answer = submitter.post(f"/pipelines/{pipeline.pk}/{verb}")
        assert (answer.status_code, answer.json()["status"]) == (200, status)
    assert_problem(submitter.post(f"/pipelines/{pipeline.pk}/retry"), 403)


def test_operators_retry_from_the_failed_step(operator):
    pipeline = make_pipeline()
    run(pipeline, "extract")
    run(pipeline, "load", action=Actions.BURY)
    answer = operator.post(f"/pipelines/{pipeline.pk}/retry").json()
    assert (answer["status"], answer["error"], answer["finished_at"]) == ("processing", None, None)
    assert [row["status"] for row in answer["steps"]] == ["completed", "pending"]


def test_what_the_status_does_not_allow_is_a_conflict(operator):
    pipeline = make_pipeline()
    assert "pending" in assert_problem(operator.post(f"/pipelines/{pipeline.pk}/resume"), 409)["detail"]
    assert now(pipeline).version == 1


def test_resurrecting_the_step_over_rest_resumes_the_pipeline(operator, django_capture_on_commit_callbacks):
    pipeline = make_pipeline()
    run(pipeline, "extract", action=Actions.BURY)
    task = Task.objects.get(step="extract")
    with django_capture_on_commit_callbacks(execute=True):
        operator.post(f"/tasks/{task.pk}/resurrect")
    assert now(pipeline).status == "processing"
    assert statuses(pipeline)["extract"] == "pending"
