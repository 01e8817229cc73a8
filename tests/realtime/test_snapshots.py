"""A snapshot shows one thing, to those who may see it."""

from __future__ import annotations

import uuid

import pytest
from django.utils import timezone

from realtime import snapshots
from realtime.messages import Key
from tasks import logs
from tasks.access import make_token, session_principal, token_principal
from tests.factories import make_task
from tests.tasks.pipelines.factories import make_pipeline


@pytest.mark.django_db
def test_a_task_is_shown_to_whom_it_belongs(alice, bob, django_assert_num_queries):
    task = make_task("processing", owner=alice)
    logs.append(task, [logs.LogLine("info", "a line", timezone.now())])
    shot = snapshots.take(session_principal(alice, ""), Key("task_id", str(task.pk)))
    assert shot
    assert shot.fields["task"]["id"] == str(task.pk)
    assert (shot.owner_id, shot.version, shot.log_seq) == (alice.pk, task.version, 1)
    assert snapshots.take(session_principal(bob, ""), Key("task_id", str(task.pk))) is None


@pytest.mark.django_db
def test_a_pipeline_is_shown_with_its_steps(alice, bob):
    pipeline = make_pipeline(owner=alice)
    shot = snapshots.take(session_principal(alice, ""), Key("pipeline_id", str(pipeline.pk)))
    assert shot
    assert [step["name"] for step in shot.fields["pipeline"]["steps"]] == ["extract", "load"]
    assert (shot.owner_id, shot.version) == (alice.pk, pipeline.version)
    assert snapshots.take(session_principal(bob, ""), Key("pipeline_id", str(pipeline.pk))) is None
    _, raw = make_token(alice, ["submit"])
    assert snapshots.take(token_principal(raw), Key("pipeline_id", str(pipeline.pk))) is None


@pytest.mark.django_db
@pytest.mark.parametrize("key", [Key("task_id", str(uuid.uuid4())), Key("task_id", "x"), Key("pipeline_id", "\0")])
def test_there_is_no_such_thing(alice, key):
    assert snapshots.take(session_principal(alice, ""), key) is None
