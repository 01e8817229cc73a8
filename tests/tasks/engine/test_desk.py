"""What a worker has in its hands, and that nothing falls off: not when a write fails, and not when one is in doubt."""

from __future__ import annotations

import threading
import time
from contextlib import closing, suppress

import pytest
from django.db import OperationalError, connection, transaction

from tasks import lifecycle
from tasks.changes import Outcome
from tasks.engine import desk as module
from tasks.engine.desk import Desk
from tasks.models import Attempt, Task, TaskLog
from tasks.states import Actions as A
from tests.factories import make_task, make_worker

pytestmark = pytest.mark.django_db
real = pytest.mark.django_db(transaction=True)  # what fails takes its whole transaction along


@pytest.fixture
def worker():
    return make_worker()


@pytest.fixture
def desk(worker):
    return Desk(worker)


def take(worker, n: int | None = None):
    """A claim for `exchange`."""
    return lambda: lifecycle.claim(Task.objects.ready()[:n] if n else Task.objects.ready(), worker)


def done(running, action=A.COMPLETE, **fields) -> Outcome:
    return Outcome(running.task.pk, running.task.lease, action, **fields)


def status(task: Task) -> tuple[str, int]:
    task = Task.objects.get(pk=task.pk)
    return task.status, task.attempt


def away(*_, **__):
    raise OperationalError("away")


def test_tasks_are_started_in_the_order_in_which_they_were_claimed(desk, worker):
    first, second = make_task(priority=1), make_task()
    desk.exchange(take(worker))
    assert desk.is_busy
    assert [desk.start().task.pk, desk.start().task.pk] == [first.pk, second.pk]
    assert desk.start() is None
    assert not desk.is_busy
    assert desk.running.keys() == {first.pk, second.pk}


def test_outcomes_are_written_and_new_tasks_claimed_in_one_exchange(desk, worker):
    first = make_task()
    desk.exchange(take(worker))
    running = desk.start()
    desk.end(running, done(running, result=1))
    second = make_task()
    assert [task.pk for task in desk.exchange(take(worker))] == [second.pk]
    assert (status(first), status(second)) == (("completed", 1), ("processing", 1))
    assert not desk.running


@pytest.mark.parametrize(("tries", "action", "noted"), [(1, A.COMPLETE, 1), (2, A.COMPLETE, 0), (1, A.FAIL, 0)])
def test_only_a_run_that_went_through_at_once_says_how_long_a_handler_takes(
    desk, worker, monkeypatch, tries, action, noted
):
    seen = []
    monkeypatch.setattr(module.durations, "note", lambda *said: seen.append(said))
    make_task()
    desk.exchange(take(worker))
    running = desk.start()
    running.task.tries = tries
    desk.end(running, done(running, action))
    assert [name for name, _ in seen] == ["test.echo"] * noted


@real
def test_an_exchange_is_made_as_a_whole_or_not_at_all(desk, worker):
    task, other = make_task(), make_task()
    desk.exchange(take(worker, 1))
    running = desk.start()
    desk.end(running, done(running))
    with pytest.raises(OperationalError):
        desk.exchange(away)
    assert (status(task), status(other)) == (("processing", 1), ("pending", 0))
    desk.record()
    assert status(task) == ("completed", 1)


def test_outcomes_that_could_not_be_written_stay_in_their_order(desk, worker, monkeypatch):
    tasks = [make_task() for _ in range(3)]
    desk.exchange(take(worker))
    for _ in tasks:
        running = desk.start()
        desk.end(running, done(running))
    monkeypatch.setattr(lifecycle, "record", away)
    with pytest.raises(OperationalError):
        desk.record()
    assert [outcome.task_id for outcome in desk._outcomes] == [task.pk for task in tasks]


def test_outcomes_lie_for_a_moment_and_no_longer(desk, worker, monkeypatch):
    make_task()
    desk.exchange(take(worker))
    running = desk.start()
    assert not desk.outcomes_are_due
    desk.end(running, done(running))
    moments = {module.RESULTS_WAIT * 0.9: False, module.RESULTS_WAIT * 1.1: True}
    for later, due in moments.items():
        monkeypatch.setattr(time, "monotonic", lambda: desk._oldest + later)  # noqa: B023 - called at once
        assert desk.outcomes_are_due is due


def test_it_is_known_how_long_tasks_have_been_held(desk, worker, monkeypatch):
    make_task(), make_task()
    assert desk.held_for == 0
    desk.exchange(take(worker))
    monkeypatch.setattr(time, "monotonic", lambda: desk._put_at + 5)
    assert desk.held_for == 5
    desk.start(), desk.start()
    assert desk.held_for == 0


def test_what_was_not_started_is_handed_back_with_its_attempt(desk, worker):
    tasks = [make_task() for _ in range(3)]
    desk.exchange(take(worker))
    desk.start()
    assert desk.hand_back() == 2
    desk.record()
    assert [status(task) for task in tasks] == [("processing", 1), ("pending", 0), ("pending", 0)]
    assert Attempt.objects.filter(outcome="released").count() == 2


def test_an_attempt_that_goes_on_elsewhere_is_forgotten(desk, worker):
    make_task()
    desk.exchange(take(worker))
    running = desk.start()
    desk.forget(running)
    desk.forget(running)
    assert not desk.running


# -- claims in doubt ------------------------------------------------------------------------------------------------


def lose_the_answer(claim):
    """The claim is committed, and then the connection breaks: all that can be seen is an error."""
    claim()
    raise OperationalError("server closed the connection unexpectedly")


def test_a_claim_that_was_committed_without_our_knowing_is_found(desk, worker, monkeypatch):
    task = make_task()
    monkeypatch.setattr(desk, "_transact", lambda outcomes, claim: lose_the_answer(claim))
    with pytest.raises(OperationalError):
        desk.exchange(take(worker))
    monkeypatch.undo()
    assert status(task) == ("processing", 1)
    assert desk.is_busy  # so that somebody looks
    assert desk.exchange(take(worker)) == []
    running = desk.start()
    assert (running.task.pk, running.task.lease) == (task.pk, Task.objects.get(pk=task.pk).lease)
    assert not desk.is_busy


@real
def test_a_claim_that_failed_leaves_nothing_to_find(desk, worker):
    make_task()
    with pytest.raises(OperationalError):
        desk.exchange(away)
    assert [task.status for task in desk.exchange(take(worker))] == ["processing"]
    assert desk.start() is not None
    assert desk.start() is None


def test_a_claim_is_in_doubt_until_its_tasks_lie_on_the_desk(desk, worker, settings, tmp_path):
    task = make_task()
    settings.TASKHUB_FAILPOINT, settings.DATA = "claim.committed:raise", tmp_path
    with pytest.raises(OperationalError):
        desk.exchange(take(worker))
    assert desk.claim_in_doubt
    desk.find_strays()
    assert desk.start().task.pk == task.pk


def test_what_somebody_else_holds_by_now_is_not_found(desk, worker, monkeypatch):
    task = make_task()
    monkeypatch.setattr(desk, "_transact", lambda outcomes, claim: lose_the_answer(claim))
    with pytest.raises(OperationalError):
        desk.exchange(take(worker))
    lifecycle.rescue(Task.objects.all(), charged=False)
    lifecycle.claim(Task.objects.ready(), make_worker())
    desk.find_strays()
    assert (desk.start(), desk.is_busy, status(task)[0]) == (None, False, "processing")


def test_a_look_that_fails_leaves_the_doubt(desk, worker, monkeypatch):
    make_task()
    monkeypatch.setattr(desk, "_transact", lambda outcomes, claim: lose_the_answer(claim))
    with pytest.raises(OperationalError):
        desk.exchange(take(worker))
    monkeypatch.setattr(module, "_settled", away)
    with pytest.raises(OperationalError):
        desk.find_strays()
    assert desk.claim_in_doubt


@pytest.mark.postgres
@pytest.mark.parametrize("commits", [True, False])
def test_a_claim_whose_commit_is_still_under_way_stays_in_doubt(on_postgres, commits, monkeypatch):
    """The connection broke, and the server has not finished yet: too early a look would not see what comes."""
    worker, task = make_worker(), make_task()
    desk, sent, arrives = Desk(worker), threading.Event(), threading.Event()
    seen: list[Task] = []

    def transaction_of_a_lost_connection():
        with closing(connection), suppress(Rollback), transaction.atomic():
            seen.extend(lifecycle.claim(Task.objects.ready(), worker))
            sent.set()
            assert arrives.wait(60)
            if not commits:
                raise Rollback

    server = threading.Thread(target=transaction_of_a_lost_connection)
    server.start()
    assert sent.wait(60)
    monkeypatch.setattr(desk, "_transact", lambda outcomes, claim: lose_the_answer(claim))
    with pytest.raises(OperationalError):
        desk.exchange(lambda: seen)
    monkeypatch.undo()
    desk.find_strays()
    assert (desk.claim_in_doubt, desk.start(), desk.exchange(take(worker))) == (True, None, [])
    arrives.set()
    server.join(60)
    desk.find_strays()
    assert not desk.claim_in_doubt
    assert [running.task.pk] == [task.pk] if (running := desk.start()) else not commits
    assert status(task) == (("processing", 1) if commits else ("pending", 0))


class Rollback(Exception):
    pass


def test_the_end_leaves_nothing_on_the_desk(desk, worker, monkeypatch):
    stray, ended, unstarted = make_task(priority=3), make_task(priority=2), make_task(priority=1)
    monkeypatch.setattr(desk, "_transact", lambda outcomes, claim: lose_the_answer(claim))
    with pytest.raises(OperationalError):
        desk.exchange(take(worker, 1))
    monkeypatch.undo()
    desk.put(lifecycle.claim(Task.objects.ready(), worker))
    running = desk.start()
    desk.end(running, done(running))
    desk.clear()
    assert [status(task) for task in (stray, ended, unstarted)] == [("pending", 0), ("completed", 1), ("pending", 0)]


def test_a_result_that_is_written_twice_is_not_taken_for_a_strangers(desk, worker):
    """The first commit was not confirmed: so the same is said again."""
    task = make_task()
    desk.exchange(take(worker))
    running = desk.start()
    for _ in range(2):
        desk._lay_down(done(running, result=1))
        desk.record()
    assert status(task) == ("completed", 1)
    assert Attempt.objects.get(task=task).late is None


# -- reports --------------------------------------------------------------------------------------------------------


def test_reports_are_written_once(desk, worker):
    task = make_task()
    desk.exchange(take(worker))
    running = desk.start()
    running.context.progress(50, "half")
    running.context.log("line")
    running.context.state["done"] = 1
    running.context.checkpoint()
    desk.report()
    desk.report()
    stored = Task.objects.get(pk=task.pk)
    assert (stored.percent, stored.progress_message, stored.state, stored.version) == (50, "half", {"done": 1}, 3)
    assert TaskLog.objects.get().message == "line"


@real
def test_reports_that_could_not_be_written_are_kept(desk, worker, monkeypatch):
    make_task()
    desk.exchange(take(worker))
    running = desk.start()
    running.context.log("line")
    with monkeypatch.context() as patch:
        patch.setattr(module.logs, "append", away)
        with pytest.raises(OperationalError):
            desk.report()
    assert not TaskLog.objects.exists()
    desk.report()
    assert TaskLog.objects.count() == 1


def test_the_last_reports_are_written_before_the_outcome(desk, worker):
    make_task()
    desk.exchange(take(worker))
    running = desk.start()
    running.context.log("last words")
    desk.end(running, done(running))
    assert TaskLog.objects.get().message == "last words"


def test_a_handler_that_says_nothing_costs_no_statement(desk, worker, django_assert_num_queries):
    make_task()
    desk.exchange(take(worker))
    running = desk.start()
    with django_assert_num_queries(0):
        desk.report()
        desk.end(running, done(running))


def test_lines_of_a_task_that_somebody_deleted_meanwhile_are_dropped(desk, worker):
    task = make_task()
    desk.exchange(take(worker))
    running = desk.start()
    running.context.log("line")
    Task.objects.filter(pk=task.pk).delete()
    desk.end(running, done(running))
    desk.record()
    assert not TaskLog.objects.exists()
