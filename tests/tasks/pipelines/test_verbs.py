"""What operators do to a pipeline, in every status and at every moment of its steps."""

from __future__ import annotations

import uuid

import pytest

from tasks import lifecycle
from tasks.exceptions import Conflict
from tasks.models import Pipeline
from tasks.pipelines import verbs
from tasks.pipelines.advance import advance
from tasks.states import Actions
from tests.factories import claim, end
from tests.tasks.pipelines.factories import begin, make_pipeline, now, plot, run, statuses, step, step_of, task_of, told

pytestmark = pytest.mark.django_db

A = Actions
ALLOWED = {
    "pending": {"cancel", "pause"},
    "processing": {"cancel", "pause"},
    "paused": {"cancel", "resume"},
    "completed": set(),
    "failed": {"retry"},
    "canceled": {"retry"},
}


def in_status(status: str) -> Pipeline:
    pipeline = make_pipeline()
    match status:
        case "processing":
            begin(pipeline, "extract")
        case "paused":
            verbs.pause(pipeline.pk, "alice")
        case "completed":
            run(pipeline, "extract", "load")
        case "failed":
            run(pipeline, "extract", action=A.BURY)
        case "canceled":
            verbs.cancel(pipeline.pk, "alice")
    assert now(pipeline).status == status
    return pipeline


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "retry"])
@pytest.mark.parametrize("status", ALLOWED)
def test_every_verb_in_every_status(status, verb):
    pipeline = in_status(status)
    before = now(pipeline)
    if verb in ALLOWED[status]:
        assert getattr(verbs, verb)(pipeline.pk, "alice").version > before.version
    else:
        with pytest.raises(Conflict, match=f"Cannot {verb} a pipeline that is {status}"):
            getattr(verbs, verb)(pipeline.pk, "alice")
        assert now(pipeline).version == before.version


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "retry"])
def test_an_unknown_pipeline(verb):
    with pytest.raises(Pipeline.DoesNotExist):
        getattr(verbs, verb)(uuid.uuid4(), "alice")


def test_who_did_what_is_on_record():
    pipeline = in_status("paused")
    assert (told(pipeline, progress=True)[-1].actor, told(pipeline, progress=True)[-1].status) == ("alice", "paused")
    assert told(pipeline, progress=True)[-1].message.startswith("paused by alice")


# -- cancel --------------------------------------------------------------------------------------------------------


def test_cancel_ends_what_waits_and_starts_no_more():
    pipeline = make_pipeline(step("a"), step("b"), step("c", "b"))
    run(pipeline, "a")
    canceled = verbs.cancel(pipeline.pk, "alice")
    assert (canceled.status, canceled.error["detail"]) == ("canceled", "Canceled by alice.")
    assert canceled.finished_at
    assert statuses(pipeline) == {"a": "completed", "b": "canceled", "c": "waiting"}
    assert plot(pipeline)[-1] == "PipelineError"


def test_what_runs_is_asked_to_stop_and_the_pipeline_is_over_when_it_has():
    pipeline = make_pipeline()
    task = begin(pipeline, "extract")
    assert verbs.cancel(pipeline.pk, "alice").status == "canceled"
    assert (task_of(pipeline, "extract").requested, now(pipeline).finished_at) == ("cancel", None)
    assert "PipelineError" not in plot(pipeline)
    with pytest.raises(Conflict, match="still stopping"):
        verbs.retry(pipeline.pk, "alice")
    end(task, A.FAIL)
    advance(pipeline.pk)
    assert statuses(pipeline)["extract"] == "canceled"
    assert now(pipeline).finished_at
    assert plot(pipeline)[-1] == "PipelineError"


def test_completion_wins_for_the_step_and_for_the_pipeline():
    pipeline = make_pipeline()
    run(pipeline, "extract")
    task = begin(pipeline, "load")
    verbs.cancel(pipeline.pk, "alice")
    end(task, A.COMPLETE)
    advance(pipeline.pk)
    assert (now(pipeline).status, now(pipeline).error) == ("completed", None)
    assert plot(pipeline)[-2:] == ["StepComplete load", "PipelineComplete"]


def test_a_step_that_completes_after_a_cancel_starts_nothing():
    pipeline = make_pipeline()
    task = begin(pipeline, "extract")
    verbs.cancel(pipeline.pk, "alice")
    end(task, A.COMPLETE)
    advance(pipeline.pk)
    assert (now(pipeline).status, statuses(pipeline)["load"]) == ("canceled", "waiting")
    assert plot(pipeline)[-2:] == ["StepComplete extract", "PipelineError"]


# -- pause and resume ----------------------------------------------------------------------------------------------


def test_pause_holds_and_resume_lets_go():
    pipeline = make_pipeline(step("a"), step("b"), step("c", "a"))
    task = begin(pipeline, "a")
    verbs.pause(pipeline.pk, "alice")
    assert statuses(pipeline) == {"a": "processing", "b": "paused", "c": "waiting"}
    end(task, A.COMPLETE)
    advance(pipeline.pk)
    assert statuses(pipeline) == {"a": "completed", "b": "paused", "c": "waiting"}
    assert verbs.resume(pipeline.pk, "alice").status == "processing"
    assert statuses(pipeline) == {"a": "completed", "b": "pending", "c": "pending"}


def test_a_pipeline_that_never_started_is_pending_again():
    assert verbs.resume(in_status("paused").pk, "alice").status == "pending"


def test_resumed_before_the_step_has_stopped():
    pipeline = make_pipeline()
    task = begin(pipeline, "extract")
    verbs.pause(pipeline.pk, "alice")
    verbs.resume(pipeline.pk, "alice")
    assert task_of(pipeline, "extract").requested == "pause"
    end(task, A.FAIL)
    advance(pipeline.pk)
    assert (statuses(pipeline)["extract"], task_of(pipeline, "extract").status) == ("pending", "pending")
    assert step_of(pipeline, "extract").resumes is False


def test_resumed_and_paused_again_before_the_step_has_stopped():
    pipeline = make_pipeline()
    task = begin(pipeline, "extract")
    for verb in (verbs.pause, verbs.resume, verbs.pause):
        verb(pipeline.pk, "alice")
    end(task, A.FAIL)
    advance(pipeline.pk)
    assert (statuses(pipeline)["extract"], now(pipeline).status) == ("paused", "paused")
    verbs.resume(pipeline.pk, "alice")
    assert statuses(pipeline)["extract"] == "pending"


def test_a_step_that_somebody_paused_holds_only_itself():
    pipeline = make_pipeline(step("a"), step("b"))
    lifecycle.pause(task_of(pipeline, "a").pk, "alice")
    run(pipeline, "b")
    assert (now(pipeline).status, statuses(pipeline)["a"]) == ("processing", "paused")
    lifecycle.resume(task_of(pipeline, "a").pk, "alice")
    run(pipeline, "a")
    assert now(pipeline).status == "completed"


def test_a_paused_pipeline_whose_last_step_completes_is_complete():
    pipeline = make_pipeline(step("a"))
    task = begin(pipeline, "a")
    verbs.pause(pipeline.pk, "alice")
    end(task, A.COMPLETE)
    advance(pipeline.pk)
    assert now(pipeline).status == "completed"


def test_a_paused_pipeline_in_which_nothing_can_run_has_failed():
    pipeline = make_pipeline()
    task = begin(pipeline, "extract")
    verbs.pause(pipeline.pk, "alice")
    lifecycle.cancel(task.pk, "alice")
    end(task, A.FAIL)
    advance(pipeline.pk)
    assert now(pipeline).status == "failed"


# -- retry ---------------------------------------------------------------------------------------------------------


def test_retry_goes_on_from_the_failed_step():
    pipeline = make_pipeline()
    run(pipeline, "extract")
    run(pipeline, "load", action=A.BURY)
    assert verbs.retry(pipeline.pk, "alice").status == "processing"
    assert statuses(pipeline) == {"extract": "completed", "load": "pending"}
    run(pipeline, "load")
    assert now(pipeline).status == "completed"
    assert plot(pipeline).count("StepComplete extract") == 1


def test_retry_of_a_canceled_pipeline_runs_what_was_canceled_and_what_never_began():
    pipeline = make_pipeline()
    run(pipeline, "extract")
    verbs.pause(pipeline.pk, "alice")
    verbs.cancel(pipeline.pk, "alice")
    verbs.retry(pipeline.pk, "alice")
    run(pipeline, "load")
    assert now(pipeline).status == "completed"


def test_retry_of_a_pipeline_canceled_while_its_next_step_was_ready():
    pipeline = make_pipeline()
    task = begin(pipeline, "extract")
    verbs.pause(pipeline.pk, "alice")
    end(task, A.COMPLETE)
    verbs.cancel(pipeline.pk, "alice")
    assert statuses(pipeline) == {"extract": "completed", "load": "waiting"}
    verbs.retry(pipeline.pk, "alice")
    assert statuses(pipeline)["load"] == "pending"


def test_retry_while_other_steps_run():
    pipeline = make_pipeline(step("a"), step("b"), step("c", retry={"delay": 60}))
    run(pipeline, "a", action=A.BURY)
    run(pipeline, "c", action=A.FAIL)
    begin(pipeline, "b")
    verbs.retry(pipeline.pk, "alice")
    assert statuses(pipeline) == {"a": "pending", "b": "processing", "c": "pending"}
    with pytest.raises(Conflict, match="no failed step"):
        verbs.retry(pipeline.pk, "alice")


def test_what_has_happened_by_itself_is_told_before_the_verb():
    pipeline = make_pipeline(step("a"))
    end(claim(task_of(pipeline, "a")), A.COMPLETE)
    with pytest.raises(Conflict, match="completed"):
        verbs.cancel(pipeline.pk, "alice")
