"""The events have exactly the fields of the contract, in their place."""

from __future__ import annotations

import json

import pytest

from tasks.masking import MASK
from tasks.representation import event_json
from tasks.states import Actions
from tests.tasks.pipelines.factories import make_pipeline, run, step, told

pytestmark = pytest.mark.django_db

HEAD = ["type", "event_id", "cursor", "timestamp", "pipeline_id", "version"]
FIELDS = {
    "PipelineStartEvent": ["pipeline_type", "input"],
    "StepStartEvent": ["step_name", "step_index", "task_id"],
    "StepCompleteEvent": ["step_name", "step_index", "result", "duration_ms"],
    "StepErrorEvent": ["step_name", "step_index", "error"],
    "PipelineCompleteEvent": ["pipeline_type", "status", "duration_ms", "result"],
    "PipelineErrorEvent": ["error"],
    "pipeline_progress": ["status", "current_step", "total_steps", "message"],
}


def frames(pipeline):
    return [event_json(row, "c1") for row in told(pipeline, progress=True)]


@pytest.fixture
def completed():
    pipeline = make_pipeline(step("a"), input={"password": "canary", "day": 1})
    run(pipeline, "a")
    return frames(pipeline)


@pytest.fixture
def failed():
    pipeline = make_pipeline(step("a"))
    run(pipeline, "a", action=Actions.BURY)
    return frames(pipeline)


def test_each_type_has_its_fields(completed, failed):
    seen = {frame["type"]: frame for frame in completed + failed}
    assert seen.keys() == FIELDS.keys()
    for type, frame in seen.items():
        assert sorted(frame) == sorted(HEAD + FIELDS[type])
        assert json.loads(json.dumps(frame)) == frame


def test_every_event_has_an_id_of_its_own(completed, failed):
    ids = [frame["event_id"] for frame in completed + failed]
    assert len(set(ids)) == len(ids)
    assert ids[0] == f"{completed[0]['pipeline_id']}:2"


def test_secrets_of_the_input_are_masked(completed):
    assert completed[0]["input"] == {"password": MASK, "day": 1}


def test_the_end_says_so(completed, failed):
    assert completed[-1]["status"] == "COMPLETED"
    assert isinstance(completed[-1]["duration_ms"], int)
    assert failed[-1]["error"]["step"] == "a"
