"""What each verb changes, decided on rows in memory: every function in every state. No database."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import changes
from tasks.changes import Change, Outcome
from tasks.exceptions import Conflict
from tasks.models import Task, TaskEvent, Worker
from tasks.states import FINISHED, TABLE, WAITING, Actions, States

A, S = Actions, States
NOW = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
LEASE = uuid.UUID(int=1)
ERROR = {"type": "RuntimeError", "detail": "it broke", "fingerprint": "f" * 16, "traceback": "secret"}


def row(status: str = S.PROCESSING, **fields: Any) -> Task:
    """A row as the table's constraints allow it in `status`, in its third try of ten."""
    running = {"lease": LEASE, "worker_id": LEASE} if status == S.PROCESSING else {}
    defaults = {"name": "test.echo", "run_at": NOW, "attempt": 3, "tries": 5}
    return Task(status=status, **defaults | running | fields)


def outcome(action: Actions, **fields: Any) -> Outcome:
    fields = {"error": ERROR} | fields if action in (A.FAIL, A.BURY) else fields
    return Outcome(uuid.UUID(int=2), LEASE, action, **fields)


def ended(action: Actions, task: Task | None = None, **fields: Any) -> Change:
    return changes.ended(task or row(), outcome(action, **fields), NOW)


def assert_the_row_fits(task: Task, change: Change) -> None:
    """What the table's constraints demand of the row after the change."""
    after = {name: change.fields.get(name, getattr(task, name)) for name in
             ("lease", "worker_id", "ready", "requested", "finished_at", "attempt", "deferred_until")}  # fmt: skip
    processing = change.status == S.PROCESSING
    assert (after["lease"] is not None) == processing
    assert processing or (after["worker_id"], after["requested"], after["deferred_until"]) == (None, None, None)
    assert not after["ready"] or change.status in WAITING
    assert (after["finished_at"] is not None) == (change.status in FINISHED)
    assert 0 <= after["attempt"] <= task.max_attempts


# -- every verb in every state -------------------------------------------------------------------------------------

WORKER = Worker(id=uuid.UUID(int=3), host="test", pid=1)
VERBS = {
    A.CLAIM: lambda task: changes.claimed(task, WORKER, LEASE, NOW),
    A.COMPLETE: lambda task: ended(A.COMPLETE, task),
    A.FAIL: lambda task: ended(A.FAIL, task),
    A.BURY: lambda task: ended(A.BURY, task),
    A.SNOOZE: lambda task: ended(A.SNOOZE, task, delay=60),
    A.RELEASE: lambda task: ended(A.RELEASE, task),
    A.RESCUE: lambda task: changes.rescued(task, False, "gone", NOW),
    A.RETRY: lambda task: changes.retried(task, NOW),
    A.RESURRECT: lambda task: changes.resurrected(task, NOW),
    A.CANCEL: lambda task: changes.canceled(task, NOW),
    A.PAUSE: lambda task: changes.paused(task, NOW),
    A.RESUME: lambda task: changes.resumed(task, NOW),
}


@pytest.mark.parametrize("status", S.values)
@pytest.mark.parametrize("action", A.values)
def test_a_verb_leads_where_the_table_says_and_leaves_a_row_that_the_database_takes(action, status):
    finished_at = NOW if status in FINISHED else None
    task = row(status, finished_at=finished_at)
    leads_to = TABLE[A(action)].get(S(status))
    if leads_to is None:
        with pytest.raises(Conflict):
            VERBS[A(action)](task)
        return
    change = VERBS[A(action)](task)
    if (action, status) in {("cancel", "processing"), ("pause", "processing")}:
        assert (change.status, change.action, change.fields) == (S.PROCESSING, None, {"requested": action})
    else:
        assert (change.status, change.action) == (leads_to, action)
    assert_the_row_fits(task, change)


def test_all_verbs_were_tried():
    assert set(VERBS) == set(A)


# -- the engine ----------------------------------------------------------------------------------------------------


def test_a_claim_counts_twice_and_forgets_the_last_progress():
    fields = changes.claimed(row(S.FAILED, percent=40.0, ready=True), WORKER, LEASE, NOW).fields
    assert (fields["attempt"], fields["tries"]) == (4, 6)
    assert (fields["worker_id"], fields["lease"], fields["started_at"]) == (WORKER.pk, LEASE, NOW)
    assert (fields["percent"], fields["progress_message"], fields["ready"]) == (None, "", False)


@pytest.mark.parametrize(
    ("usual", "state", "seconds"), [(60, {}, 60), (0.9, {}, None), (None, {}, None), (60, {"n": 1}, None)]
)
def test_a_claim_estimates_the_end_of_a_fresh_run_from_earlier_ones(usual, state, seconds):
    eta = changes.claimed(row(S.PENDING, ready=True, state=state), WORKER, LEASE, NOW, usual).fields["eta"]
    assert eta == (seconds and NOW + dt.timedelta(seconds=seconds))


@pytest.mark.parametrize("action", [A.COMPLETE, A.FAIL, A.BURY, A.SNOOZE, A.RELEASE])
def test_an_attempt_that_has_ended_has_no_estimate(action):
    assert ended(action, row(eta=NOW), error=ERROR).fields["eta"] is None


def test_completion_stores_the_result_and_clears_the_error():
    change = ended(A.COMPLETE, row(error=ERROR, fingerprint="f"), result={"pages": 3}, result_size=11)
    assert (change.fields["result"], change.fields["error"], change.fields["fingerprint"]) == ({"pages": 3}, None, "")
    assert (change.fields["finished_at"], change.fields["percent"]) == (NOW, 100)
    assert change.data == {"result": {"pages": 3}}
    assert "attempt" not in change.fields


@pytest.mark.parametrize(("size", "omitted"), [(changes.RESULT_LIMIT, False), (changes.RESULT_LIMIT + 1, True)])
def test_an_event_carries_no_large_result(size, omitted):
    change = ended(A.COMPLETE, result="x", result_size=size)
    assert change.data == ({"result_omitted": True} if omitted else {"result": "x"})
    assert change.fields["result"] == "x"


@given(st.integers(1, 9), st.floats(0, 86_400))
def test_a_failure_waits_by_its_policy_or_as_long_as_the_receiver_asks(attempt, delay):
    task = row(attempt=attempt)
    change = ended(A.FAIL, task, delay=delay)
    shortest, longest = task.retry_policy.bounds(attempt)
    wait = (change.fields["run_at"] - NOW).total_seconds()
    assert max(shortest, delay) - 1e-6 <= wait <= max(longest, delay) + 1e-6
    assert change.status == S.FAILED
    assert change.data["run_at"] == change.fields["run_at"].isoformat()


def test_the_last_attempt_is_the_last():
    assert ended(A.FAIL, row(attempt=9)).status == S.FAILED
    assert ended(A.FAIL, row(attempt=10)).status == S.DEAD_LETTERED


@pytest.mark.parametrize(("action", "attempt"), [(A.FAIL, 3), (A.FAIL, 10), (A.BURY, 3)])
def test_the_traceback_stays_with_the_attempt(action, attempt):
    change = ended(action, row(attempt=attempt))
    public = {"type": "RuntimeError", "detail": "it broke", "fingerprint": "f" * 16}
    assert (change.fields["error"], change.fields["fingerprint"]) == (public, "f" * 16)
    assert change.data["error"] == public
    assert change.message == "it broke"


@pytest.mark.parametrize(
    ("action", "delay", "ready"), [(A.SNOOZE, 60, False), (A.SNOOZE, 0, True), (A.RELEASE, 0, True)]
)
def test_what_is_given_back_keeps_its_attempt(action, delay, ready):
    change = ended(action, delay=delay)
    assert (change.status, change.fields["attempt"], change.fields["ready"]) == (S.PENDING, 2, ready)
    assert change.fields["run_at"] == NOW + dt.timedelta(seconds=delay)


@pytest.mark.parametrize("action", [A.COMPLETE, A.FAIL, A.BURY, A.SNOOZE, A.RELEASE])
@pytest.mark.parametrize("requested", ["cancel", "pause"])
def test_how_each_end_meets_a_request(action, requested):
    task = row(requested=requested)
    change = ended(action, task)
    expected = S.COMPLETED if action is A.COMPLETE else {"cancel": S.CANCELED, "pause": S.PAUSED}[requested]
    assert change.status == expected
    assert change.fields.get("attempt", 3) == (2 if expected == S.PAUSED else 3)
    assert_the_row_fits(task, change)


@pytest.mark.parametrize("action", [A.COMPLETE, A.FAIL, A.BURY, A.SNOOZE, A.RELEASE])
def test_every_end_may_bring_a_state_and_the_time_of_the_start(action):
    change = ended(action, elapsed=90, state={"page": 3})
    assert (change.fields["state"], change.fields["started_at"]) == ({"page": 3}, NOW - dt.timedelta(seconds=90))
    silent = ended(action)
    assert "state" not in silent.fields
    assert "started_at" not in silent.fields


# -- rescue --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crashes", range(3))
@pytest.mark.parametrize("attempt", [1, 9, 10])
def test_a_charged_rescue(crashes, attempt):
    task = row(crashes=crashes, attempt=attempt)
    change = changes.rescued(task, True, "gone", NOW)
    assert change.fields["crashes"] == crashes + 1
    if crashes == 2:
        assert change.fields["error"]["type"] == "Poison"
    elif attempt == 10:
        assert change.fields["error"]["type"] == "WorkerLost"
    else:
        assert (change.status, change.fields["attempt"], change.fields["ready"]) == (S.PENDING, attempt, True)
        return
    assert change.status == S.DEAD_LETTERED
    assert_the_row_fits(task, change)


@pytest.mark.parametrize("rescues", [0, 8, 9])
@pytest.mark.parametrize("attempt", [1, 10])
def test_an_uncharged_rescue_gives_the_attempt_back_until_there_were_too_many(rescues, attempt):
    task = row(rescues=rescues, attempt=attempt)
    change = changes.rescued(task, False, "gone", NOW)
    assert (change.fields["rescues"], change.fields["crashes"]) == (rescues + 1, 0)
    if rescues == 9:
        assert (change.status, change.fields["error"]["type"]) == (S.DEAD_LETTERED, "suspected_poison")
    else:
        assert (change.status, change.fields["attempt"]) == (S.PENDING, attempt - 1)
    assert_the_row_fits(task, change)


@pytest.mark.parametrize("charged", [True, False])
@pytest.mark.parametrize(("requested", "status"), [("cancel", S.CANCELED), ("pause", S.PAUSED)])
def test_a_rescue_meets_a_request(charged, requested, status):
    task = row(requested=requested)
    change = changes.rescued(task, charged, "gone", NOW)
    assert change.status == status
    assert_the_row_fits(task, change)


# -- progress and deferral -----------------------------------------------------------------------------------------


def test_progress_is_an_event_of_its_own_kind_and_no_step():
    change = changes.progressed(row(), 40.0, "page 4", NOW)
    assert (change.status, change.action, change.type) == (S.PROCESSING, None, TaskEvent.Types.PROGRESS)
    assert change.data == {"percent": 40.0, "message": "page 4", "eta": NOW.isoformat()}


def test_progress_that_says_nothing_of_the_end_leaves_the_estimate_as_it_is():
    change = changes.progressed(row(eta=NOW), 1.0, "page 1", None)
    assert change.fields["eta"] == NOW


def test_a_deferred_attempt_goes_on_without_a_worker_under_the_same_lease():
    task, until = row(), NOW + dt.timedelta(hours=1)
    change = changes.deferred(task, until, NOW)
    assert (change.status, change.fields) == (S.PROCESSING, {"worker_id": None, "deferred_until": until})
    assert_the_row_fits(task, change)


# -- the operator --------------------------------------------------------------------------------------------------


def test_a_deferred_task_is_canceled_at_once_and_cannot_be_paused():
    task = row(worker_id=None, deferred_until=NOW)
    change = changes.canceled(task, NOW)
    assert change.status == S.CANCELED
    assert_the_row_fits(task, change)
    with pytest.raises(Conflict, match="receiver has accepted"):
        changes.paused(task, NOW)


@pytest.mark.parametrize(
    ("requested", "verb", "allowed"),
    [
        (None, changes.canceled, True),
        (None, changes.paused, True),
        ("pause", changes.canceled, True),
        ("pause", changes.paused, False),
        ("cancel", changes.canceled, False),
        ("cancel", changes.paused, False),
    ],
)
def test_a_cancel_replaces_a_pause_and_nothing_replaces_a_cancel(requested, verb, allowed):
    task = row(requested=requested)
    if allowed:
        assert verb(task, NOW).status == S.PROCESSING
    else:
        with pytest.raises(Conflict, match=f"A {requested} of this task has been requested already"):
            verb(task, NOW)


def test_resurrection_renews_everything_but_the_number_of_tries():
    task = row(S.DEAD_LETTERED, attempt=10, crashes=3, rescues=9, error=ERROR, fingerprint="f", finished_at=NOW)
    fields = changes.resurrected(task, NOW).fields
    assert (fields["attempt"], fields["crashes"], fields["rescues"], fields["error"]) == (0, 0, 0, None)
    assert (fields["run_at"], fields["ready"], fields["finished_at"]) == (NOW, True, None)
    assert "tries" not in fields
    assert "state" not in fields


@pytest.mark.parametrize(("later", "ready"), [(-1, True), (0, True), (1, False)])
def test_a_resumed_task_keeps_its_time(later, ready):
    change = changes.resumed(row(S.PAUSED, run_at=NOW + dt.timedelta(seconds=later)), NOW)
    assert change.fields == {"ready": ready}


def test_a_retry_is_now():
    change = changes.retried(row(S.FAILED, run_at=NOW + dt.timedelta(hours=1)), NOW)
    assert change.fields == {"run_at": NOW, "ready": True}
