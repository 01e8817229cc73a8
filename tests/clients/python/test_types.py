"""The client's types are the hub's."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest

from realtime import messages
from taskhub_client import types
from tasks import representation, submission


@pytest.mark.parametrize(
    ("ours", "hubs"),
    [
        (types.Task, representation.TaskJSON),
        (types.TaskStatus, representation.TaskStatusJSON),
        (types.Pipeline, representation.PipelineJSON),
        (types.Step, representation.StepJSON),
        (types.PipelineError, representation.PipelineError),
        (types.Error, representation.Error),
        (types.Progress, representation.Progress),
    ],
)
def test_what_comes_back(ours, hubs):
    named = {name: str(hint).replace("taskhub_client.types.", "") for name, hint in get_type_hints(ours).items()}
    expected = {name: str(hint).replace("tasks.representation.", "") for name, hint in get_type_hints(hubs).items()}
    assert named == {name: hint.replace("StepJSON", "Step") for name, hint in expected.items()}


@pytest.mark.parametrize("name", ["Status", "StepStatus", "PipelineStatus", "PipelineType"])
def test_the_vocabularies(name):
    assert get_args(getattr(types, name)) == get_args(getattr(representation, name))


def test_what_may_be_submitted():
    assert {*get_type_hints(types.TaskOptions), "name", "payload"} == set(submission.NewTask.__struct_fields__)
    assert set(get_type_hints(types.Retry)) == set(submission.Retry.__struct_fields__)


def test_what_may_be_subscribed_to():
    spoken = set(messages.Subscribe.__struct_fields__) - {"since", "batch"}
    assert set(get_type_hints(types.Subscription)) == spoken
