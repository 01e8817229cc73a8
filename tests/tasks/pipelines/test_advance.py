"""A pipeline goes where its tasks are, whoever notices, and however late."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from tasks import lifecycle
from tasks.changes import RESULT_LIMIT
from tasks.models import Pipeline, Task, TaskEvent
from tasks.pipelines import advance, round
from tasks.pipelines.template import REFUSED
from tasks.states import Actions
from tests.factories import claim, end
from tests.tasks.pipelines.factories import begin, make_pipeline, now, plot, run, statuses, step, step_of, task_of, told

pytestmark = pytest.mark.django_db

A = Actions
DIAMOND = step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c")


def test_only_what_depends_on_nothing_has_a_task_at_first(alice):
    pipeline = make_pipeline(*DIAMOND, owner=alice)
    assert statuses(pipeline) == {"a": "pending", "b": "waiting", "c": "waiting", "d": "waiting"}
    task = Task.objects.get()
    assert (task.pipeline_id, task.step, task.owner) == (pipeline.pk, "a", alice)
    assert (now(pipeline).status, now(pipeline).version, told(pipeline, progress=True)) == ("pending", 1, [])


def test_the_whole_story_of_two_steps():
    pipeline = make_pipeline(input={"day": 1})
    begin(pipeline, "extract")
    assert plot(pipeline) == ["PipelineStart", "StepStart extract"]
    assert now(pipeline).status == "processing"
    run(pipeline, "extract", "load")
    assert plot(pipeline) == [
        "PipelineStart", "StepStart extract", "StepComplete extract", "StepStart load", "StepComplete load",
        "PipelineComplete",
    ]  # fmt: skip
    done = now(pipeline)
    assert (done.status, done.current_step, done.error) == ("completed", 2, None)
    assert done.finished_at == step_of(pipeline, "load").finished_at


def test_each_event_is_the_next_version_and_progress_comes_before_the_end():
    pipeline = make_pipeline(step("a"))
    run(pipeline, "a")
    rows = told(pipeline, progress=True)
    assert [row.version for row in rows] == [2, 3, 4, 5, 6]
    assert now(pipeline).version == 6
    assert [row.type for row in rows[-2:]] == ["pipeline_progress", "PipelineCompleteEvent"]
    assert rows[-2].data == {"current_step": 1, "total_steps": 1}
    assert (rows[-2].status, rows[-2].message) == ("completed", "a is complete")


def test_a_join_waits_for_all():
    pipeline = make_pipeline(*DIAMOND)
    run(pipeline, "a", "b")
    assert statuses(pipeline)["d"] == "waiting"
    run(pipeline, "c")
    assert statuses(pipeline)["d"] == "pending"


def test_nothing_happens_twice():
    pipeline = make_pipeline()
    run(pipeline, "extract")
    before = told(pipeline, progress=True), Task.objects.count(), now(pipeline).updated_at
    assert advance.advance(pipeline.pk) == 0
    assert (told(pipeline, progress=True), Task.objects.count(), now(pipeline).updated_at) == before


def test_results_and_input_reach_the_next_step():
    pipeline = make_pipeline(
        step("a"), step("b", "a", handler="test.fail", payload={"detail": {"$result": "a"}}),
        step("c", "b", payload={"value": {"$input": True}}), input="monday",
    )  # fmt: skip
    end(claim(task_of(pipeline, "a")), A.COMPLETE, result="from a")
    advance.advance(pipeline.pk)
    assert task_of(pipeline, "b").payload == {"detail": "from a"}
    run(pipeline, "b")
    assert task_of(pipeline, "c").payload == {"value": "monday"}


@pytest.mark.parametrize(
    ("pipeline_type", "result"),
    [("sequential", {"value": "c"}), ("parallel", {n: {"value": n} for n in "abc"}), ("dag", {"c": {"value": "c"}})],
)
def test_the_result_of_a_pipeline(pipeline_type, result):
    after = {"dag": {"c": ["a", "b"]}}.get(pipeline_type, {})
    pipeline = make_pipeline(*(step(name, *after.get(name, [])) for name in "abc"), pipeline_type=pipeline_type)
    run(pipeline, "a", "b", "c")
    assert now(pipeline).result == result
    assert told(pipeline)[-1].data["result"] == result


def test_large_values_are_left_out_of_events():
    pipeline = make_pipeline(step("a"), input="x" * RESULT_LIMIT)
    run(pipeline, "a", result="y" * RESULT_LIMIT)
    start, _, completed, finished = (row.data for row in told(pipeline))
    assert (start["input"], start["input_omitted"]) == (None, True)
    assert (completed["result"], completed["result_omitted"]) == (None, True)
    assert (finished["result"], finished["result_omitted"]) == (None, True)


def test_the_results_of_many_last_steps_may_be_too_large_to_keep(monkeypatch):
    monkeypatch.setattr(round, "RESULT_LIMIT", 30)
    pipeline = make_pipeline(step("a"), step("b"))
    run(pipeline, "a", "b")
    assert (now(pipeline).status, now(pipeline).result) == ("completed", None)


# -- failures ------------------------------------------------------------------------------------------------------


def test_a_step_that_is_tried_again_starts_once():
    pipeline = make_pipeline(step("a", retry={"delay": 0}))
    run(pipeline, "a", action=A.FAIL)
    assert statuses(pipeline) == {"a": "failed"}
    run(pipeline, "a")
    assert plot(pipeline) == ["PipelineStart", "StepStart a", "StepComplete a", "PipelineComplete"]


def test_a_dead_letter_fails_the_pipeline_once_nothing_more_can_run():
    pipeline = make_pipeline(step("a"), step("b"), step("c", "a"), step("d", "b"))
    run(pipeline, "a", action=A.BURY)
    assert now(pipeline).status == "processing"
    run(pipeline, "b", "d")
    failed = now(pipeline)
    assert (failed.status, failed.current_step) == ("failed", 2)
    assert failed.error == {"type": "RuntimeError", "detail": "it broke", "fingerprint": "f" * 16, "step": "a"}
    assert statuses(pipeline) == {"a": "dead_lettered", "b": "completed", "c": "waiting", "d": "completed"}
    assert plot(pipeline) == [
        "PipelineStart", "StepStart a", "StepError a", "StepStart b", "StepComplete b", "StepStart d",
        "StepComplete d", "PipelineError",
    ]  # fmt: skip


def test_a_canceled_step_fails_the_pipeline():
    pipeline = make_pipeline()
    lifecycle.cancel(task_of(pipeline, "extract").pk, "alice")
    advance.advance(pipeline.pk)
    assert now(pipeline).status == "failed"
    assert now(pipeline).error["type"] == "StepCanceled"
    assert plot(pipeline) == ["PipelineError"]


def test_a_dead_letter_is_blamed_rather_than_a_canceled_step():
    pipeline = make_pipeline(step("a"), step("b"))
    lifecycle.cancel(task_of(pipeline, "a").pk, "alice")
    run(pipeline, "b", action=A.BURY)
    assert now(pipeline).error["step"] == "b"


def test_resurrecting_the_step_resumes_the_pipeline():
    pipeline = make_pipeline()
    run(pipeline, "extract", action=A.BURY)
    lifecycle.resurrect(task_of(pipeline, "extract").pk, "alice")
    advance.advance(pipeline.pk)
    again = now(pipeline)
    assert (again.status, again.error, again.finished_at) == ("processing", None, None)
    run(pipeline, "extract", "load")
    assert plot(pipeline) == [
        "PipelineStart", "StepStart extract", "StepError extract", "PipelineError",
        "StepStart extract", "StepComplete extract", "StepStart load", "StepComplete load", "PipelineComplete",
    ]  # fmt: skip


def test_a_resurrection_that_nobody_noticed_is_told_all_the_same():
    pipeline = make_pipeline(step("a"))
    run(pipeline, "a", action=A.BURY)
    lifecycle.resurrect(task_of(pipeline, "a").pk, "alice")
    end(claim(task_of(pipeline, "a")), A.BURY)
    advance.advance(pipeline.pk)
    assert plot(pipeline) == ["PipelineStart", *["StepStart a", "StepError a", "PipelineError"] * 2]


def test_a_resurrected_step_does_not_start_before_it_is_claimed():
    pipeline = make_pipeline(step("a"))
    run(pipeline, "a", action=A.BURY)
    lifecycle.resurrect(task_of(pipeline, "a").pk, "alice")
    advance.advance(pipeline.pk)
    assert plot(pipeline)[-1] == "PipelineError"
    assert step_of(pipeline, "a").started_at is None


@pytest.mark.parametrize("result", [{"value": "x" * 250_000}, "x" * 250_000])
def test_what_results_make_too_large_is_dead_lettered(result):
    twice = {"value": [{"$result": "a"}, {"$result": "a"}]}
    pipeline = make_pipeline(step("a"), step("b", "a", payload=twice), step("c", "b"))
    end(claim(task_of(pipeline, "a")), A.COMPLETE, result=result)
    advance.advance(pipeline.pk)
    task = task_of(pipeline, "b")
    assert (task.status, task.error["type"]) == ("dead_lettered", "InvalidPayload")
    assert "bytes" in task.error["detail"]
    assert REFUSED in task.payload
    assert plot(pipeline)[-3:] == ["StepStart b", "StepError b", "PipelineError"]
    assert now(pipeline).error["step"] == "b"


def test_what_results_make_unbindable_is_dead_lettered_by_its_worker():
    from tasks.testing import run_pending

    pipeline = make_pipeline(step("a"), step("b", "a", payload={"value": {"$result": "a"}}))
    run_pending()
    task = task_of(pipeline, "b")
    assert (task.status, task.error["type"]) == ("dead_lettered", "InvalidTask")
    assert now(pipeline).status == "failed"


# -- who notices ---------------------------------------------------------------------------------------------------


def test_a_receiver_follows_each_change_of_a_step(django_capture_on_commit_callbacks):
    pipeline = make_pipeline()
    with django_capture_on_commit_callbacks(execute=True):
        task = claim(task_of(pipeline, "extract"))
    with django_capture_on_commit_callbacks(execute=True):
        end(task, A.COMPLETE)
    assert statuses(pipeline) == {"extract": "completed", "load": "pending"}


def test_what_is_no_news_costs_one_look(django_assert_num_queries):
    pipeline = make_pipeline()
    task = claim(task_of(pipeline, "extract"))
    advance.advance(pipeline.pk)
    claimed = TaskEvent.objects.get(task_id=task.pk, version=2)
    with django_assert_num_queries(1):
        advance.follow([claimed])
    lifecycle.report([lifecycle.Progress(task.pk, task.lease, 50.0, "half")], "test")
    progress, started = TaskEvent.objects.get(task_id=task.pk, version=3), told(pipeline)[0]
    with django_assert_num_queries(0):
        advance.follow([progress, started])


def test_a_sweep_finds_what_was_left():
    first, second = make_pipeline(), make_pipeline()
    end(claim(task_of(first, "extract")), A.COMPLETE)
    claim(task_of(second, "extract"))
    assert advance.sweep() == 2
    assert (statuses(first)["load"], statuses(second)["extract"]) == ("pending", "processing")
    assert advance.sweep() == 0


def test_a_sweep_starts_what_is_ready_and_has_no_task():
    pipeline = make_pipeline(step("a"), step("b", "a"))
    run(pipeline, "a")
    task = task_of(pipeline, "b")
    pipeline.steps.filter(name="b").update(task=None, status="waiting", seen=0)
    task.delete()
    assert advance.sweep() == 1
    assert statuses(pipeline)["b"] == "pending"


def test_a_sweep_passes_over_what_is_over_or_paused():
    done, failed, paused = make_pipeline(step("a")), make_pipeline(step("a")), make_pipeline()
    run(done, "a")
    run(failed, "a", action=A.BURY)
    Pipeline.objects.filter(pk=paused.pk).update(status="paused")
    assert advance.sweep() == 0


def test_one_that_cannot_be_advanced_does_not_stop_the_others(monkeypatch, caplog):
    broken, refused, well = make_pipeline(), make_pipeline(), make_pipeline()
    for pipeline in (broken, refused, well):
        claim(task_of(pipeline, "extract"))
    true = advance.advance

    def breaking(*ids):
        if refused.pk in ids:
            raise DatabaseError("a value that no row takes")
        return 1 // 0 if broken.pk in ids else true(*ids)

    monkeypatch.setattr(advance, "advance", breaking)
    assert advance.sweep() == 1
    assert now(well).status == "processing"
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


def test_a_database_that_is_away_is_asked_once_and_not_for_each(monkeypatch, caplog):
    for _ in range(3):
        claim(task_of(make_pipeline(), "extract"))
    asked = []

    def away(*ids):
        asked.append(ids)
        raise OperationalError("away")

    monkeypatch.setattr(advance, "TOGETHER", 2)
    monkeypatch.setattr(advance, "advance", away)
    assert advance.sweep() == 0
    assert len(asked) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_all_or_nothing(monkeypatch):
    pipeline = make_pipeline()
    end(claim(task_of(pipeline, "extract")), A.COMPLETE)
    monkeypatch.setattr(advance.events, "append", lambda _: 1 // 0)  # the last of all
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        advance.advance(pipeline.pk)
    assert (statuses(pipeline), told(pipeline)) == ({"extract": "pending", "load": "waiting"}, [])
    monkeypatch.undo()
    advance.sweep()
    assert statuses(pipeline) == {"extract": "completed", "load": "pending"}


def test_a_delay_counts_from_the_end_of_what_it_waits_for():
    pipeline = make_pipeline(step("a"), step("b", "a", delay=3600))
    run(pipeline, "a")
    assert task_of(pipeline, "b").run_at >= step_of(pipeline, "a").finished_at + dt.timedelta(hours=1)


def test_an_advance_reads_no_payload_that_it_does_not_need(django_assert_max_num_queries):
    pipeline = make_pipeline(*(step(f"s{n}") for n in range(50)))
    end(claim(task_of(pipeline, "s7")), A.COMPLETE)
    with django_assert_max_num_queries(10):
        advance.advance(pipeline.pk)


def test_many_are_advanced_by_as_many_statements_as_one(django_assert_max_num_queries):
    pipelines = [
        make_pipeline(step("a"), step("b", "a", payload={"value": {"$input": True}}), input="x") for _ in range(20)
    ]
    for pipeline in pipelines:
        end(claim(task_of(pipeline, "a")), A.COMPLETE)
    with CaptureQueriesContext(connection) as one:
        advance.advance(pipelines[0].pk)
    with django_assert_max_num_queries(len(one)):
        assert advance.advance(*(pipeline.pk for pipeline in pipelines)) == 19
    assert {status for pipeline in pipelines for status in statuses(pipeline).items()} == {
        ("a", "completed"), ("b", "pending"),
    }  # fmt: skip
