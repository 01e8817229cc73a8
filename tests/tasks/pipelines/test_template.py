"""A step's task before it exists."""

from __future__ import annotations

import datetime as dt
import json

import msgspec
import pytest

from tasks.database import database_now
from tasks.exceptions import InvalidTask
from tasks.models import Pipeline, Step, Task
from tasks.models.tasks import CALLBACK
from tasks.pipelines.template import COLUMNS, REFUSED, refusal, task_of, template_of
from tasks.registry import find
from tasks.submission import TASK_LIMIT, NewTask, build

NOW = database_now()
OPTIONS = {
    "payload": {"value": "x"},
    "queue": "reports",
    "priority": 7,
    "max_attempts": 3,
    "retry": {"delay": 1.5, "factor": 3, "max_delay": 60, "jitter": 0},
    "timeout": 12.5,
    "run_at": "2027-01-01T00:00:00+00:00",
    "tags": ["a", "b"],
}
CALLBACK_OPTIONS = {
    "callback_url": "https://example.org/hook",
    "callback_method": "PUT",
    "callback_headers": {"X-Key": "1"},
}


def through_json(request):
    """The task of a step that was submitted as `request`."""
    template = json.loads(json.dumps(template_of(build(request), request.get("delay"))))
    return made(template)


def made(template, results=None, input=None):
    pipeline = Pipeline(name="p", input=input, total_steps=1)
    return task_of(template, pipeline, Step(name="load"), results or {}, NOW)


@pytest.mark.parametrize(
    "options", [{"name": "test.echo"} | OPTIONS, CALLBACK_OPTIONS | OPTIONS, {"name": "test.fail"}]
)
def test_every_option_reaches_the_task_of_the_step(options):
    task, reason = through_json(options)
    plain = build(options)
    own = {"id", "pipeline", "step"}
    differing = [f.name for f in Task._meta.concrete_fields if getattr(task, f.attname) != getattr(plain, f.attname)]
    assert set(differing) == own
    assert (task.step, reason) == ("load", None)


def test_no_option_of_a_task_is_forgotten():
    elsewhere = {"payload", "run_at", "delay", "retry"}
    assert {field.name for field in msgspec.structs.fields(NewTask)} - elsewhere <= set(COLUMNS)


def test_a_delay_counts_from_when_the_task_comes_to_exist():
    task, _ = through_json({"name": "test.echo", "delay": 90})
    assert task.run_at == NOW + dt.timedelta(seconds=90)


def test_results_and_input_are_put_in():
    template = template_of(build({"name": "test.echo"}), None)
    template["payload"] = {"value": [{"$result": "a"}, {"$input": True}]}
    task, reason = made(template, {"a": 1}, "in")
    assert (task.payload, reason) == ({"value": [1, "in"]}, None)


def test_it_needs_no_handler_in_this_process():
    template = template_of(build({"name": "test.echo"}), None) | {"name": "elsewhere.known"}
    task, reason = made(template)
    assert (task.name, reason) == ("elsewhere.known", None)


@pytest.mark.parametrize("result", ["x" * TASK_LIMIT, ["no", "object"]])
def test_what_can_never_run_is_disarmed(result):
    template = template_of(build({"name": "test.echo"}), None) | {"payload": {"$result": "a"}}
    task, reason = made(template, {"a": {"value": result} if isinstance(result, str) else result})
    assert reason
    assert reason in task.payload[REFUSED]
    with pytest.raises(InvalidTask):
        find(task.name).bind(task.payload)


def test_a_callback_that_is_refused_is_never_sent():
    template = template_of(build(CALLBACK_OPTIONS), None) | {"payload": {"$result": "a"}}
    task, reason = made(template, {"a": 1})
    assert reason
    assert (task.name, task.is_callback) == (CALLBACK, False)


def test_the_limit_itself_is_allowed():
    assert refusal({"v": "x" * (TASK_LIMIT - len('{"v":""}'))}) is None
    assert refusal({"v": "x" * (TASK_LIMIT - len('{"v":""}') + 1)})
