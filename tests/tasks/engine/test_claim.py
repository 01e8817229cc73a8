"""Which tasks a worker takes: the order, the batch, the suspects. The same on both databases."""

from __future__ import annotations

import datetime as dt
import threading
from functools import partial
from types import SimpleNamespace

import pytest
from django.db import connection, transaction

from tasks import lifecycle, queues, submit
from tasks.database import database_now, uuid7
from tasks.engine import claim
from tasks.engine.claim import AHEAD, BATCH, Pace
from tasks.models import Task, Worker
from tests.factories import make_task, make_worker

PLAIN, LOOP = Worker.Roles.PLAIN, Worker.Roles.LOOP


def session(role: str = PLAIN) -> SimpleNamespace:
    return SimpleNamespace(worker=make_worker(role=role))


def names_of(tasks) -> list[str]:
    return [task.name for task in tasks]


def suspicious(task: Task, crashes: int = 0, rescues: int = 0) -> Task:
    Task.objects.filter(pk=task.pk).update(crashes=crashes, rescues=rescues)
    return task


def callback() -> Task:
    return submit(callback_url="http://127.0.0.1:9/")


# -- how many at once: pure -----------------------------------------------------------------------------------------


def tasks(*names: str, **fields) -> list[Task]:
    return [Task(name=name, **fields) for name in names]


def test_what_has_never_run_is_claimed_alone():
    assert Pace().batch == 1
    assert names_of(Pace().ahead(tasks("a", "b"))) == ["a"]


def test_what_is_quick_is_claimed_ahead_for_so_much_time():
    pace = Pace()
    pace.note("quick", AHEAD / 10)
    assert pace.batch == 10
    assert len(pace.ahead(tasks(*["quick"] * 50))) == 10


def test_a_batch_has_a_limit_however_quick_tasks_are():
    pace = Pace()
    pace.note("no-op", 0)
    assert pace.batch == BATCH


def test_a_slow_one_ends_the_batch_and_may_be_its_first():
    pace = Pace()
    pace.note("quick", AHEAD / 10)
    pace.note("slow", 5)
    assert names_of(pace.ahead(tasks("quick", "slow", "quick"))) == ["quick"]
    assert names_of(pace.ahead(tasks("slow", "quick"))) == ["slow"]


def test_the_pace_follows_what_handlers_do_lately():
    pace = Pace()
    pace.note("changed", 0.001)
    for _ in range(30):
        pace.note("changed", 1)
    assert pace.expected("changed") == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("past", [{"crashes": 1}, {"rescues": 1}])
def test_what_was_in_hand_when_a_worker_died_comes_alone(past):
    pace = Pace()
    pace.note("quick", 0.001)
    quick, suspect = tasks("quick")[0], tasks("quick", **past)[0]
    assert pace.ahead([suspect, quick]) == [suspect]
    assert pace.ahead([quick, suspect, quick]) == [quick]


def test_a_callback_runs_no_code_and_is_no_suspect():
    assert not claim.is_suspect(Task(name="callback", callback_url="http://x/", rescues=3))


# -- which ----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_each_kind_of_worker_takes_its_own():
    make_task()
    make_task(name="test.async")
    callback()
    assert names_of(claim.many(session(LOOP), 10)) == ["test.async", "callback"]
    assert names_of(claim.plain(session(), Pace())) == ["test.echo"]


@pytest.mark.django_db
@pytest.mark.parametrize(("past", "role"), [({"rescues": 1}, LOOP), ({"rescues": 2}, PLAIN), ({"crashes": 1}, PLAIN)])
def test_an_async_handler_that_may_be_a_culprit_is_taken_out_of_the_event_loop(past, role):
    suspicious(make_task(name="test.async"), **past)
    assert claim.is_waiting(role)
    assert not claim.is_waiting({LOOP: PLAIN, PLAIN: LOOP}[role])


@pytest.mark.django_db
def test_a_callback_stays_there_whatever_it_has_lived_through():
    suspicious(callback(), rescues=5)
    assert claim.is_waiting(LOOP)
    assert not claim.is_waiting(PLAIN)


@pytest.mark.django_db
def test_the_event_loop_runs_few_suspects_at_once_and_nobody_else_waits_for_them(monkeypatch):
    monkeypatch.setattr(claim, "SUSPECTS", 2)
    for _ in range(3):
        suspicious(make_task(name="test.async", priority=1), rescues=1)
    make_task(name="test.async")
    callback()
    assert [task.rescues for task in claim.many(session(LOOP), 10)] == [1, 1, 0, 0]
    assert claim.many(session(LOOP), 10, suspects=2) == []
    assert [task.rescues for task in claim.many(session(LOOP), 10, suspects=1)] == [1]


@pytest.mark.django_db
def test_a_full_quota_of_suspects_does_not_hide_what_comes_after_them(monkeypatch):
    monkeypatch.setattr(claim, "SUSPECTS", 1)
    for _ in range(3):
        suspicious(make_task(name="test.async", priority=1), rescues=1)
    make_task(name="test.async")
    assert [task.rescues for task in claim.many(session(LOOP), 2, suspects=1)] == [0]


@pytest.mark.django_db
def test_a_name_that_this_worker_does_not_know_is_left_to_others():
    task = make_task()
    Task.objects.filter(pk=task.pk).update(name="of.a.newer.version")
    assert not claim.is_waiting(PLAIN)
    assert claim.plain(session(), Pace()) == []


@pytest.mark.django_db
def test_a_paused_queue_starts_nothing_until_it_is_resumed(alice):
    make_task(queue="paused")
    make_task(queue="other", priority=-1)
    queues.pause("paused", alice)
    assert [task.queue for task in claim.plain(session(), Pace())] == ["other"]
    assert not claim.is_waiting(PLAIN)
    queues.resume("paused", alice)
    assert claim.is_waiting(PLAIN)


@pytest.mark.django_db
def test_what_is_held_unstarted_makes_way(alice):
    held = claim.plain(session(), Pace())
    assert not claim.must_wait(held)
    make_task(priority=5)
    held = claim.plain(session(), Pace())
    make_task(priority=5), make_task(priority=-5)
    assert not claim.must_wait(held)
    make_task(priority=6, name="test.async")  # not for a worker of this kind
    assert not claim.must_wait(held)
    make_task(priority=6)
    assert claim.must_wait(held)


@pytest.mark.django_db
@pytest.mark.parametrize("what", ["cancel", "pause", "queue"])
def test_what_is_held_unstarted_hears_of_an_operator(alice, what):
    task = make_task()
    held = claim.plain(session(), Pace())
    assert not claim.must_wait(held)
    queues.pause("default", alice) if what == "queue" else getattr(lifecycle, what)(task.pk, "alice")
    assert claim.must_wait(held)


@pytest.mark.django_db
def test_what_becomes_due_is_found_by_looking():
    task = make_task(delay=3600)
    assert not claim.is_waiting(PLAIN)
    Task.objects.filter(pk=task.pk).update(run_at=task.created_at - dt.timedelta(seconds=1))
    assert claim.is_waiting(PLAIN)


@pytest.mark.django_db
def test_an_idle_worker_sleeps_until_something_is_due_and_never_for_long():
    assert claim.seconds_until_due() == claim.SAFETY
    make_task(delay=3600)
    assert claim.seconds_until_due() == claim.SAFETY
    Task.objects.update(run_at=database_now() + dt.timedelta(seconds=0.5))
    assert 0 < claim.seconds_until_due() < 0.51
    Task.objects.update(run_at=database_now() - dt.timedelta(seconds=5))
    assert claim.seconds_until_due() == 0.001


# -- the contract of a claim, on both databases -----------------------------------------------------------------------


@pytest.mark.usefixtures("every_database")
@pytest.mark.django_db
@pytest.mark.parametrize("role", [PLAIN, LOOP])
@pytest.mark.parametrize("end", ["stopped_at", "lost_at", "forgotten"])
def test_a_session_that_has_ended_takes_nothing_even_if_it_does_not_know(role, end):
    make_task(name={PLAIN: "test.echo", LOOP: "test.async"}[role])
    ended = session(role)
    if end == "forgotten":
        Worker.objects.filter(pk=ended.worker.pk).delete()
    else:
        Worker.objects.filter(pk=ended.worker.pk).update(**{end: database_now()})
    take = partial(claim.plain, pace=Pace()) if role == PLAIN else partial(claim.many, limit=10)
    assert take(ended) == []
    assert take(session(role)) != []


@pytest.mark.usefixtures("every_database")
def test_the_most_urgent_first_then_the_longest_due():
    late = make_task(priority=5, run_at=(database_now() - dt.timedelta(hours=1)).isoformat())
    high, low, urgent = make_task(priority=5), make_task(priority=-5), make_task(priority=100)
    pace = Pace()
    pace.note("test.echo", 0.001)
    assert [task.pk for task in claim.plain(session(), pace)] == [urgent.pk, late.pk, high.pk, low.pk]


@pytest.mark.usefixtures("every_database")
def test_a_claim_takes_no_more_than_its_limit_and_no_task_twice():
    for _ in range(30):
        make_task(name="test.async")
    claimed, errors = [], []

    def work() -> None:
        try:
            ours = session(LOOP)
            while found := claim.many(ours, 4):
                assert len(found) <= 4
                claimed.extend(found)
        except Exception as error:  # shown below
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len({task.pk for task in claimed}) == len(claimed) == 30
    assert Task.objects.filter(status="processing", attempt=1).count() == 30


@pytest.mark.postgres
def test_nobody_waits_for_a_row_that_somebody_else_is_about_to_take(on_postgres):
    first, second = make_task(priority=1), make_task()
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Task.objects.select_for_update().get(pk=first.pk)
            locked.set()
            done.wait(60)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(60)
    assert [task.pk for task in lifecycle.claim(Task.objects.ready()[:1], make_worker())] == [second.pk]
    done.set()
    holder.join()


# -- by which index: a backlog must cost a claim, and an idle worker's look, nothing -----------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("role", [PLAIN, LOOP])
@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL decides by its statistics")
@pytest.mark.parametrize(("is_claim", "index"), [(False, "task_ready_name"), (True, "task_ready")])
def test_sqlite_reads_no_more_of_a_backlog_than_is_wanted(role, is_claim, index):
    known = claim._known()
    statement, parameters = (
        claim._claim("sqlite", role, known, False, uuid7()) if is_claim else claim._look("sqlite", role, known)
    )
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}", [*parameters, 100] if is_claim else parameters)
        plan = [row[-1] for row in cursor.fetchall()]
    assert plan[0].split(" (")[0].endswith(f"tasks_task USING INDEX {index}")
    assert not any("TEMP B-TREE" in step for step in plan)


@pytest.mark.postgres
@pytest.mark.usefixtures("on_postgres")
@pytest.mark.parametrize("role", [PLAIN, LOOP])
def test_postgresql_reads_no_more_of_a_backlog_than_is_wanted_before_it_knows_how_long_it_is(role):
    make_task()
    statement, parameters = claim._claim("postgresql", role, claim._known(), False, uuid7())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(claim.BY_INDEX["postgresql"])
        cursor.execute(f"EXPLAIN {statement}", [*parameters, 100])
        plan = [row[0] for row in cursor.fetchall()]
    assert any("Index Scan using task_ready on" in step for step in plan)
    assert not any("Sort" in step for step in plan)
