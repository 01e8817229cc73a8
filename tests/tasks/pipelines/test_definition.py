"""What may be submitted as a pipeline, and how each mistake is named."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.exceptions import InvalidTask, TooLarge
from tasks.pipelines.definition import STEPS_LIMIT, define
from tasks.submission import TASK_LIMIT
from tests.tasks.pipelines.factories import step

URL = "https://example.org/hook"
A, B = step("a"), step("b", "a")


def request(*steps: Any, **fields: Any) -> dict[str, Any]:
    return {"name": "nightly", "pipeline_type": "dag", "steps": list(steps), **fields}


def graph(*steps: Any, **fields: Any) -> dict[str, list[str]]:
    return {row.name: row.depends_on for row in define(request(*steps, **fields))[1]}


def errors(body: Any) -> dict[str, str]:
    with pytest.raises(InvalidTask) as raised:
        define(body)
    return {error.field: error.message for error in raised.value.errors}


def test_the_rows_of_a_pipeline():
    pipeline, steps = define(request(A, B, input={"day": 1}))
    assert (pipeline.name, pipeline.pipeline_type, pipeline.input) == ("nightly", "dag", {"day": 1})
    assert pipeline.total_steps == 2
    assert [(row.index, row.name, row.depends_on) for row in steps] == [(0, "a", []), (1, "b", ["a"])]
    assert steps[0].template["name"] == "test.echo"


def test_in_a_sequential_pipeline_each_step_depends_on_the_one_before():
    plain = [{"name": name, "handler": "test.echo"} for name in "abc"]
    body = {"name": "nightly", "steps": plain}
    assert {row.name: row.depends_on for row in define(body)[1]} == {"a": [], "b": ["a"], "c": ["b"]}


def test_a_sequential_pipeline_may_name_earlier_steps_too():
    assert graph(A, B, step("c", "a"), pipeline_type="sequential") == {"a": [], "b": ["a"], "c": ["a", "b"]}


def test_in_a_parallel_pipeline_nothing_depends_on_anything():
    assert graph(A, step("b"), pipeline_type="parallel") == {"a": [], "b": []}
    assert list(errors(request(A, B, pipeline_type="parallel"))) == ["steps[1].depends_on"]


def test_what_is_named_twice_counts_once():
    assert graph(A, step("b", "a", "a")) == {"a": [], "b": ["a"]}


def test_a_dag_may_name_later_steps():
    assert graph(step("b", "a"), A) == {"b": ["a"], "a": []}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (request(), "steps"),
        (request(*[step(f"s{n}") for n in range(STEPS_LIMIT + 1)]), "steps"),
        (request(A) | {"name": "no name"}, "name"),
        (request(A) | {"pipeline_type": "star"}, "pipeline_type"),
        (request(A) | {"unknown": 1}, "unknown"),
        ({"steps": [A]}, "name"),
        (request(A, "b"), "steps[1]"),
        (request(A, step("b", extra=1)), "steps[1].extra"),
        (request(A, {"handler": "test.echo"}), "steps[1].name"),
        (request(A, A), "steps[1].name"),
        (request(A, step("b", "x", "a")), "steps[1].depends_on[0]"),
        (request(step("a", "a")), "steps[0].depends_on[0]"),
        (request(step("a", "b"), step("b"), pipeline_type="sequential"), "steps[0].depends_on[0]"),
        (request(step("a", handler="no.such")), "steps[0].handler"),
        (request({"name": "a"}), "steps[0].handler"),
        (request(step("a", callback_url=URL)), "steps[0].callback_url"),
        (request(step("a", payload={"valeu": "x"})), "steps[0].payload.valeu"),
        (request(step("a", payload={"value": 1})), "steps[0].payload.value"),
        (request(step("a", payload={"value": {"$input": True}}), input=1), "steps[0].payload.value"),
        (request(step("a", payload={"$input": True}), input=[1]), "steps[0].payload"),
        (request({"name": "a", "callback_url": URL, "payload": {"$input": True}}), "steps[0].payload"),
        (request(step("a", payload={"value": {"$result": "x"}})), "steps[0].payload.value"),
        (request(A, step("b", payload={"value": {"$result": "a"}})), "steps[1].payload.value"),
        (request(A, step("b", "a", payload={"value": {"$result": "a", "x": 1}})), "steps[1].payload.value"),
        (request(A, step("b", "a", payload={"valeu": {"$result": "a"}})), "steps[1].payload.valeu"),
        (request(step("a", payload={"value": "\0"})), "steps[0].payload.value"),
        (request(step("a", max_attempts=0)), "steps[0].max_attempts"),
        (request(step("a", delay=1, run_at="2027-01-01T00:00:00Z")), "steps[0].delay"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_mistake_is_named_by_its_place(body, field):
    assert list(errors(body)) == [field]


def test_each_dependency_in_a_circle_is_named():
    told = errors(request(step("x"), step("a", "x", "c"), step("b", "a"), step("c", "b"), step("y", "c")))
    assert list(told) == ["steps[1].depends_on[1]", "steps[2].depends_on[0]", "steps[3].depends_on[0]"]
    (message,) = set(told.values())
    assert any(way in message for way in ("a needs c needs b needs a", "b needs a needs c", "c needs b needs a"))


def test_mistakes_in_several_steps_are_all_named():
    told = errors(request(step("a", handler="no.such"), step("b", payload={"x": 1}), step("c")))
    assert list(told) == ["steps[0].handler", "steps[1].payload.x"]


def test_what_only_results_will_tell_is_let_through():
    assert graph(A, step("b", "a", payload={"value": {"$result": "a"}})) == {"a": [], "b": ["a"]}
    assert graph(A, step("b", "a", payload={"$result": "a"})) == {"a": [], "b": ["a"]}


def test_the_rest_of_a_payload_with_a_result_is_checked():
    body = request(A, step("b", "a", handler="test.steps", payload={"count": {"$result": "a"}, "pause": "long"}))
    assert list(errors(body)) == ["steps[1].payload.pause"]


def test_results_of_earlier_steps_may_be_used_over_several_others():
    assert graph(A, B, step("c", "b", payload={"value": {"$result": "a"}}))["c"] == ["b"]


@pytest.mark.parametrize("body", [None, [], "x", 1])
def test_what_is_no_object_is_refused(body):
    assert errors(body)


def test_a_large_input_is_refused_by_its_size():
    with pytest.raises(TooLarge) as raised:
        define(request(A, input="x" * TASK_LIMIT))
    assert raised.value.errors[0].field == "input"


def test_the_limit_of_steps_itself_is_allowed():
    assert len(define(request(*[step(f"s{n}") for n in range(STEPS_LIMIT)]))[1]) == STEPS_LIMIT
