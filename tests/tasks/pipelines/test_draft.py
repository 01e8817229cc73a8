"""Pipelines written in Python."""

from __future__ import annotations

import uuid

import pytest

import tasks
from tasks import INPUT, pipeline, result
from tasks.exceptions import InvalidTask
from tests.tasks.pipelines.factories import statuses

NIGHTLY = (
    pipeline("nightly", input={"day": 1}, pipeline_type="dag")
    .step("extract", "test.echo", {"value": "x"}, queue="reports")
    .step("load", "test.echo", {"value": result("extract")}, depends_on=["extract"])
    .step("tell", callback_url="https://example.org/", payload={"input": INPUT}, depends_on=["load"])
)


def test_it_reads_as_the_json_does():
    assert NIGHTLY.request == {
        "name": "nightly",
        "input": {"day": 1},
        "pipeline_type": "dag",
        "steps": [
            {
                "name": "extract",
                "handler": "test.echo",
                "payload": {"value": "x"},
                "depends_on": [],
                "queue": "reports",
            },
            {
                "name": "load",
                "handler": "test.echo",
                "payload": {"value": {"$result": "extract"}},
                "depends_on": ["extract"],
            },
            {
                "name": "tell",
                "payload": {"input": {"$input": True}},
                "depends_on": ["load"],
                "callback_url": "https://example.org/",
            },
        ],
    }


@pytest.mark.django_db
def test_it_is_submitted(alice):
    stored = NIGHTLY.submit(owner=alice, idempotency_key="k")
    assert statuses(stored) == {"extract": "pending", "load": "waiting", "tell": "waiting"}
    assert NIGHTLY.submit(owner=alice, idempotency_key="k").pk == stored.pk


@pytest.mark.django_db
def test_without_a_type_the_steps_run_one_after_the_other():
    stored = pipeline("p").step("a", "test.echo").step("b", "test.echo").submit()
    assert statuses(stored) == {"a": "pending", "b": "waiting"}


def test_a_draft_can_be_the_start_of_several():
    start = pipeline("p").step("a", "test.echo")
    one, other = start.step("b", "test.echo"), start.step("c", "test.fail")
    assert [len(draft.request["steps"]) for draft in (start, one, other)] == [1, 2, 2]


def test_values_of_python_become_json():
    some = uuid.uuid4()
    assert pipeline("p").step("a", "test.echo", {"value": some}).request["steps"][0]["payload"] == {"value": str(some)}
    with pytest.raises(InvalidTask, match="payload"):
        pipeline("p").step("a", "test.echo", {"value": object()})


def test_what_tasks_does_not_have():
    with pytest.raises(AttributeError):
        tasks.pipe  # noqa: B018
