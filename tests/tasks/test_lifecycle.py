"""Every verb against every state, the log that it leaves, and the fence."""

from __future__ import annotations

import datetime as dt
import uuid
from unittest.mock import Mock

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from tasks import lifecycle, submit
from tasks.changes import Outcome
from tasks.exceptions import Conflict
from tasks.models import Attempt, QueueCount, Task, TaskEvent
from tasks.rows import listed
from tasks.signals import task_changed
from tasks.states import TABLE, Actions, States
from tests.factories import claim, end, make_task, make_worker
from tests.model.clock import Clock

pytestmark = pytest.mark.django_db
VERBS = {
    Actions.RETRY: lifecycle.retry,
    Actions.RESURRECT: lifecycle.resurrect,
    Actions.CANCEL: lifecycle.cancel,
    Actions.PAUSE: lifecycle.pause,
    Actions.RESUME: lifecycle.resume,
}


@pytest.mark.parametrize("status", States.values)
@pytest.mark.parametrize("action", VERBS)
def test_an_operator_gets_what_the_table_says(status, action):
    task = make_task(status)
    edge = TABLE[action].get(States(status))
    if edge is None:
        with pytest.raises(Conflict):
            VERBS[action](task.pk, "alice")
        assert Task.objects.get(pk=task.pk).version == task.version
        return
    changed = VERBS[action](task.pk, "alice")
    stored = Task.objects.get(pk=task.pk)
    assert stored.version == changed.version == task.version + 1
    if status == States.PROCESSING:
        assert (stored.status, stored.requested) == (States.PROCESSING, action)
    else:
        assert stored.status == edge


def test_each_change_is_one_row_of_the_log_with_the_next_version():
    task = make_task("dead_lettered")
    lifecycle.resurrect(task.pk, "alice")
    rows = list(TaskEvent.objects.filter(task_id=task.pk).order_by("id"))
    assert [row.version for row in rows] == [1, 2, 3, 4]
    assert [row.previous_status for row in rows] == [None, "pending", "processing", "dead_lettered"]
    assert [row.status for row in rows] == ["pending", "processing", "dead_lettered", "pending"]
    assert rows[-1].actor == "alice"


def test_the_signal_is_sent_after_the_commit_and_not_after_a_rollback(django_capture_on_commit_callbacks):
    heard = []
    task_changed.connect(lambda event, **_: heard.append(event.status), weak=False, dispatch_uid="test")
    try:
        with django_capture_on_commit_callbacks(execute=True):
            with transaction.atomic():
                submit("test.echo")
                transaction.set_rollback(True)
            submit("test.echo")
            assert heard == []
        assert heard == ["pending"]
    finally:
        task_changed.disconnect(dispatch_uid="test")


def test_counts_add_up_to_what_is_there():
    for status in States.values:
        make_task(status)
    make_task("completed", queue="other")
    sums: dict[tuple[str, str], int] = {}
    for row in QueueCount.objects.all():
        sums[row.queue, row.status] = sums.get((row.queue, row.status), 0) + row.n
    assert {key: n for key, n in sums.items() if n} == {("default", status): 1 for status in States.values} | {
        ("other", "completed"): 1
    }


def test_a_failed_attempt_waits_by_its_policy():
    task = claim(make_task(retry={"delay": 100, "jitter": 0.5}))
    failed = end(task, Actions.FAIL)
    wait = (failed.run_at - failed.updated_at).total_seconds()
    assert (failed.status, failed.attempt) == ("failed", 1)
    assert 50 <= wait <= 100


def test_a_receiver_may_ask_for_a_longer_wait():
    failed = end(claim(make_task(retry={"delay": 1})), Actions.FAIL, delay=500)
    assert (failed.run_at - failed.updated_at).total_seconds() == pytest.approx(500)


def test_the_last_attempt_is_dead_lettered():
    dead = end(claim(make_task(max_attempts=1)), Actions.FAIL)
    assert dead.status == "dead_lettered"
    assert dead.finished_at is not None


def test_snooze_and_release_give_the_attempt_back():
    for action in (Actions.SNOOZE, Actions.RELEASE):
        task = end(claim(make_task()), action)
        assert (task.status, task.attempt, task.tries) == ("pending", 0, 1)
        assert Attempt.objects.get(task=task).number == 1


def test_resurrection_renews_the_budget_and_attempt_numbers_go_on():
    task = make_task("dead_lettered", max_attempts=1)
    task = end(claim(lifecycle.resurrect(task.pk, "alice")), Actions.COMPLETE)
    assert (task.status, task.attempt, task.error) == ("completed", 1, None)
    assert list(task.attempts.order_by("number").values_list("number", "outcome")) == [(1, "failed"), (2, "completed")]


@pytest.mark.parametrize(
    ("action", "outcome", "status"),
    [
        ("cancel", Actions.FAIL, "canceled"),
        ("cancel", Actions.BURY, "canceled"),
        ("cancel", Actions.RELEASE, "canceled"),
        ("cancel", Actions.COMPLETE, "completed"),
        ("pause", Actions.SNOOZE, "paused"),
        ("pause", Actions.COMPLETE, "completed"),
    ],
)
def test_a_request_wins_over_everything_but_completion(action, outcome, status):
    task = claim(make_task())
    VERBS[Actions(action)](task.pk, "alice")
    ended = end(task, outcome)
    assert (ended.status, ended.requested) == (status, None)
    assert ended.attempt == (0 if status == "paused" else 1)


def test_the_result_of_a_lost_lease_is_recorded_and_never_applied():
    task = claim(make_task())
    lifecycle.rescue(Task.objects.filter(pk=task.pk), charged=False)
    again = claim(task)
    assert lifecycle.record([Outcome(task.pk, task.lease, Actions.COMPLETE, result="late")], "zombie") == []
    stored = Task.objects.get(pk=task.pk)
    assert (stored.status, stored.lease, stored.result) == ("processing", again.lease, None)
    assert Attempt.objects.get(task=task, number=1).late["result"] == "late"


def test_a_deferred_callback_that_is_canceled_leaves_its_attempt_where_a_late_result_is_kept():
    task = claim(make_task())
    assert lifecycle.defer(task.pk, task.lease, 3600, "test")
    assert lifecycle.cancel(task.pk, "alice").status == "canceled"
    assert lifecycle.record([Outcome(task.pk, task.lease, Actions.COMPLETE, result="late")], "receiver") == []
    attempt = Attempt.objects.get(task=task)
    assert (attempt.number, attempt.outcome, attempt.late["result"]) == (1, "canceled", "late")


def test_three_crashes_alone_are_poison():
    task = make_task()
    for crash in range(3):
        claim(task)
        (task,) = lifecycle.rescue(Task.objects.filter(pk=task.pk), charged=True)
        assert task.crashes == crash + 1
    assert (task.status, task.error["type"]) == ("dead_lettered", "Poison")


def test_ten_rescues_in_company_are_suspicious():
    task = make_task()
    for _ in range(10):
        claim(task)
        (task,) = lifecycle.rescue(Task.objects.filter(pk=task.pk), charged=False)
    assert (task.status, task.error["type"], task.attempt) == ("dead_lettered", "suspected_poison", 1)


def test_a_batch_is_recorded_in_one_go_and_each_task_gets_its_own_result():
    tasks = [make_task() for _ in range(3)]
    claimed = lifecycle.claim(Task.objects.ready(), make_worker())
    assert [task.pk for task in claimed] == [task.pk for task in tasks]
    outcomes = [Outcome(task.pk, task.lease, Actions.COMPLETE, result=n) for n, task in enumerate(claimed)]
    lifecycle.record(outcomes, "test")
    assert [Task.objects.get(pk=task.pk).result for task in tasks] == [0, 1, 2]


def test_claims_go_by_priority_then_by_age():
    low, high, same = make_task(priority=-5), make_task(priority=5), make_task(priority=5)
    claimed = lifecycle.claim(Task.objects.ready(), make_worker())
    assert [task.pk for task in claimed] == [high.pk, same.pk, low.pk]


def test_what_is_not_due_is_not_ready_until_it_is_promoted():
    task = make_task(delay=3600)
    assert (task.ready, lifecycle.promote()) == (False, 0)
    Task.objects.filter(pk=task.pk).update(run_at=task.created_at - dt.timedelta(seconds=1))
    assert lifecycle.promote() == 1
    assert Task.objects.ready().get().pk == task.pk


@pytest.mark.usefixtures("every_database")
def test_what_is_due_at_this_very_moment_is_due():
    with (clock := Clock()).installed():
        task = submit("test.echo", {"value": "x"}, delay=7.01)
        clock.go_on(7.01)
        assert clock.now == task.run_at
        assert lifecycle.promote() == 1


def test_the_database_refuses_what_the_machine_forbids():
    task = make_task()
    with pytest.raises(IntegrityError), transaction.atomic():
        Task.objects.filter(pk=task.pk).update(status="completed")
    with pytest.raises(IntegrityError), transaction.atomic():
        Task.objects.filter(pk=task.pk).update(lease=uuid.uuid4())
    with pytest.raises(IntegrityError), transaction.atomic():
        Task.objects.filter(pk=task.pk).update(attempt=11)


@pytest.mark.usefixtures("every_database")
def test_an_outcome_of_a_task_that_has_changed_meanwhile_is_applied_to_what_it_is_now():
    task = make_task("processing")
    outcome = Outcome(task.pk, task.present_lease, Actions.FAIL, error={"type": "E", "detail": "d"}, task=task)
    lifecycle.cancel(task.pk, "alice")
    (ended,) = lifecycle.record([outcome], "worker")
    assert (ended.status, ended.version) == ("canceled", 4)
    assert task.status == "processing"


@pytest.mark.usefixtures("every_database")
def test_an_outcome_of_an_untouched_task_is_applied_to_the_task_in_hand():
    task = make_task("processing")
    (ended,) = lifecycle.record(
        [Outcome(task.pk, task.present_lease, Actions.COMPLETE, result={"a": 1}, task=task)], "worker"
    )
    assert ended is task
    stored = Task.objects.get(pk=task.pk)
    assert (
        (stored.status, stored.version, stored.result)
        == (task.status, task.version, task.result)
        == ("completed", 3, {"a": 1})
    )


@pytest.mark.usefixtures("every_database")
def test_an_outcome_whose_transaction_failed_is_applied_at_the_next_try(monkeypatch):
    """The task in hand has been brought up to date by then, and its row has not."""
    task = make_task("processing")
    outcome = Outcome(task.pk, task.present_lease, Actions.COMPLETE, result=1, task=task)
    with monkeypatch.context() as broken:
        broken.setattr(lifecycle.events, "append", Mock(side_effect=OperationalError("the connection is lost")))
        with pytest.raises(OperationalError):
            lifecycle.record([outcome], "worker")
    (ended,) = lifecycle.record([outcome], "worker")
    assert (ended.status, ended.version) == ("completed", 3)
    assert Attempt.objects.get(task=task).late is None


@pytest.mark.usefixtures("every_database")
def test_a_change_finds_its_rows_by_their_ids_whatever_the_planner_believes():
    """Before the first ANALYZE PostgreSQL takes `status = 'pending'` for rare, and would read a whole backlog by it."""
    tasks = [make_task() for _ in range(300)]
    statement = lifecycle._swap(("updated_at",), connection.vendor)
    ids = listed([task.pk for task in tasks[:20]], connection.vendor)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {'QUERY PLAN ' * (connection.vendor == 'sqlite')}{statement}", [None, "pending", ids])
        plan = " ".join(str(row[-1]) for row in cursor.fetchall())
    assert "task_status" not in plan
    assert "task_queue" not in plan
