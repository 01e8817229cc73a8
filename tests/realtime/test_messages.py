"""The protocol: what is taken, what is refused, and that what is sent has the form that is documented."""

from __future__ import annotations

import json

import msgspec
import pytest

from realtime import messages
from realtime.messages import Authenticate, InvalidFrame, Key, Ping, Subscribe, Unsubscribe
from tasks import lifecycle
from tasks.models import TaskEvent
from tasks.representation import event_json
from tasks.states import Actions, States
from tests.factories import claim, make_task
from tests.tasks.pipelines import factories as pipelines


@pytest.mark.parametrize(
    ("frame", "request_"),
    [
        ({"type": "ping"}, Ping()),
        ({"type": "authenticate", "token": "t"}, Authenticate(token="t")),
        ({"type": "authenticate", "ticket": "t"}, Authenticate(ticket="t")),
        ({"type": "unsubscribe", "pipeline_id": "*"}, Unsubscribe(pipeline_id="*")),
        ({"type": "subscribe", "queue": "a.b-c_d", "since": None}, Subscribe(queue="a.b-c_d")),
        (
            {"type": "subscribe", "task_id": "x", "events": ["task_log", "StepStartEvent"], "statuses": ["failed"]},
            Subscribe(task_id="x", events=frozenset({"task_log", "StepStartEvent"}), statuses=frozenset({"failed"})),
        ),
    ],
)
def test_what_is_taken(frame, request_):
    assert messages.decode(json.dumps(frame)) == request_


@pytest.mark.parametrize(
    ("frame", "code", "detail"),
    [
        ("", "invalid_json", "not JSON"),
        ("nonsense", "invalid_json", "not JSON"),
        ("[" * 100_000, "invalid_frame", "object"),
        (b"\xff\xfe", "invalid_json", "not JSON"),
        ('"\\ud800"', "invalid_json", "not JSON"),
        ("1e999", "invalid_frame", "."),
        ("[]", "invalid_frame", "object"),
        ("null", "invalid_frame", "object"),
        ("{}", "invalid_frame", "type"),
        ('{"type": 1}', "invalid_frame", "$.type"),
        ('{"type": "x"}', "invalid_frame", "$.type"),
        ('{"type": "ping", "more": 1}', "invalid_frame", "more"),
        ('{"type": "subscribe"}', "invalid_frame", "exactly one"),
        ('{"type": "subscribe", "queue": "a", "task_id": "b"}', "invalid_frame", "exactly one"),
        ('{"type": "subscribe", "queue": "a b"}', "invalid_frame", "$.queue"),
        ('{"type": "subscribe", "queue": 1}', "invalid_frame", "$.queue"),
        ('{"type": "subscribe", "queue": "a", "events": ["x"]}', "invalid_frame", "$.events"),
        ('{"type": "subscribe", "queue": "a", "statuses": "x"}', "invalid_frame", "$.statuses"),
        ('{"type": "subscribe", "queue": "a", "batch": "yes"}', "invalid_frame", "$.batch"),
        ('{"type": "authenticate"}', "invalid_frame", "either"),
        ('{"type": "authenticate", "token": "a", "ticket": "b"}', "invalid_frame", "either"),
        ('{"type": "authenticate", "token": ""}', "invalid_frame", "$.token"),
    ],
)
def test_what_is_refused(frame, code, detail):
    with pytest.raises(InvalidFrame, match=detail.replace("$", r"\$")) as refused:
        messages.decode(frame)
    assert refused.value.code == code


def test_a_key_is_known_by_name_and_value():
    assert Subscribe(queue="*").key == Key("queue", "*")
    assert Unsubscribe(task_id="x").key == Key("task_id", "x")


def test_every_frame_has_a_type_and_a_time():
    frame = json.loads(messages.encode(messages.Subscribed, queue="a", cursor="c", recovered=True))
    assert frame.pop("timestamp").endswith("Z")
    assert frame == {"type": "subscribed", "queue": "a", "cursor": "c", "recovered": True}


def test_a_batch_is_made_of_what_is_encoded_already():
    assert json.loads(messages.batch(['{"a":1}', '{"b":2}'])) == {"type": "batch", "events": [{"a": 1}, {"b": 2}]}


FORMS = {form.__struct_config__.tag: form for form in (
    messages.TaskCreated, messages.TaskUpdated, messages.TaskProgress, messages.PipelineStart, messages.StepStart,
    messages.StepComplete, messages.StepError, messages.PipelineComplete, messages.PipelineFailed,
    messages.PipelineProgress,
)}  # fmt: skip
OPTIONAL = {"result", "result_omitted", "input_omitted"}


@pytest.mark.django_db
def test_events_have_the_documented_form():
    for status in States.values:
        make_task(status)
    task = claim(make_task())
    lifecycle.report([lifecycle.Progress(task.pk, task.lease, 50, "half")], "test")
    pipelines.run(pipelines.make_pipeline(), "extract", "load")
    pipelines.run(pipelines.make_pipeline(), "extract", action=Actions.BURY)
    seen = set()
    for row in TaskEvent.objects.all():
        frame = json.loads(messages.event(event_json(row, "c")))
        form = FORMS[frame["type"]]
        msgspec.convert(frame, form)
        assert frame.keys() - OPTIONAL == {"type", *form.__struct_fields__} - OPTIONAL
        seen.add(frame["type"])
    assert seen == FORMS.keys() == messages.LOGGED
