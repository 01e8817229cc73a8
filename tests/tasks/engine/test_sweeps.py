"""What any worker does for all: who is rescued, when, and what it costs the task; and what is thrown away."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import threading
import time

import pytest
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection

from tasks import lifecycle, submit
from tasks.database import database_now
from tasks.engine import session, sweeps
from tasks.engine.sweeps import LeaseWatch, Sweeper
from tasks.models import Attempt, IdempotencyKey, RateWindow, SigninLink, StreamTicket, Task, TaskEvent, Worker
from tests.factories import claim, make_task, make_worker
from tests.processes import until

SECOND = dt.timedelta(seconds=1)
START = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def lease(settings):
    settings.TASKHUB_HEARTBEAT_S, settings.TASKHUB_LEASE_S = 5, 15


@pytest.fixture
def gone():
    """The id of a process that was."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(60)
    return process.pid


def stored(task: Task) -> Task:
    return Task.objects.get(pk=task.pk)


def expired_worker(**fields) -> Worker:
    return make_worker(expires_at=database_now() - SECOND, **fields)


# -- who has been watching: pure ------------------------------------------------------------------------------------


def looks(watch: LeaseWatch, *seconds: float) -> list[bool]:
    return [watch.may_judge(START + s * SECOND) for s in seconds]


def test_who_begins_to_watch_judges_after_one_lease():
    assert looks(LeaseWatch(), 0, 5, 10, 14.9, 15, 20) == [False, False, False, False, True, True]


def test_who_has_not_been_watching_for_a_while_begins_anew():
    """A database that was away, or a laptop that slept: then everything looks expired."""
    watch = LeaseWatch()
    assert looks(watch, *range(0, 21, 5))[-1]
    assert looks(watch, 31, 36, 41, 45.9, 46) == [False, False, False, False, True]


def test_a_gap_of_two_heartbeats_is_none():
    watch = LeaseWatch()
    looks(watch, 0, 5, 10, 15)
    assert looks(watch, 25) == [True]


def test_a_clock_that_was_set_back_is_a_gap_too():
    watch = LeaseWatch()
    looks(watch, *range(0, 21, 5))
    assert looks(watch, -3600, -3590, -3585) == [False, False, True]


def test_who_could_not_renew_its_own_lease_begins_anew():
    """SQLite can be read while somebody holds the lock that every renewal waits for."""
    punctual = [True] * 5 + [False] * 3 + [True] * 9
    watch = LeaseWatch(lambda: punctual.pop(0))
    assert looks(watch, *range(0, 45, 5)) == [False, False, False, True, True, True, False, False, False]
    assert looks(watch, 45, 50, 54.9, 55) == [False, False, False, True]


# -- rescue ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def watching(monkeypatch):
    """One that has been watching for long enough."""
    watch = LeaseWatch()
    monkeypatch.setattr(watch, "may_judge", lambda now: True)
    return watch


@pytest.mark.django_db
def test_a_lease_that_ran_out_costs_the_worker_its_tasks(watching):
    worker, other = expired_worker(), make_worker()
    task, others = claim(make_task(), worker), claim(make_task(), other)
    assert watching.rescue_expired() == 1
    assert watching.rescue_expired() == 0
    assert (stored(task).status, stored(others).status) == ("pending", "processing")
    assert Worker.objects.get(pk=worker.pk).lost_at
    assert "stopped renewing its lease" in Attempt.objects.get().error["detail"]


@pytest.mark.django_db
def test_nobody_is_judged_by_who_has_just_come():
    claim(make_task(), expired_worker())
    assert LeaseWatch().rescue_expired() == 0


@pytest.mark.django_db
def test_who_comes_back_in_the_last_moment_keeps_its_tasks():
    worker = make_worker()
    task = claim(make_task(), worker)
    assert sweeps.rescue(worker, "gone", expired=database_now()) == 0
    assert stored(task).status == "processing"
    assert Worker.objects.get(pk=worker.pk).lost_at is None


@pytest.mark.django_db
def test_a_process_of_this_machine_that_is_gone_need_not_be_waited_for(gone):
    task = claim(make_task(), make_worker(pid=gone, machine=session.machine()))
    elsewhere = claim(make_task(), make_worker(pid=gone, machine="another"))
    assert sweeps.rescue_dead() == 1
    assert (stored(task).status, stored(elsewhere).status) == ("pending", "processing")
    assert Attempt.objects.get().error["detail"] == "The worker's process died."


@pytest.mark.django_db
def test_a_crash_is_charged_to_the_only_task_in_hand():
    worker = make_worker()
    task = claim(make_task(), worker)
    sweeps.rescue(worker, "gone")
    assert (stored(task).attempt, stored(task).crashes, stored(task).rescues) == (1, 1, 0)


@pytest.mark.django_db
def test_it_is_not_charged_in_company():
    worker = make_worker()
    tasks = [claim(make_task(), worker) for _ in range(2)]
    assert sweeps.rescue(worker, "gone") == 2
    assert {(t.attempt, t.crashes, t.rescues) for t in map(stored, tasks)} == {(0, 0, 1)}


@pytest.mark.django_db
def test_a_callback_is_never_charged():
    worker = make_worker(role="loop")
    task = claim(submit(callback_url="http://127.0.0.1:9/"), worker)
    sweeps.rescue(worker, "gone")
    assert (stored(task).attempt, stored(task).crashes, stored(task).rescues) == (0, 0, 1)


@pytest.mark.django_db
def test_a_handler_that_took_its_worker_along_beyond_its_deadline_has_missed_the_deadline():
    """Code that holds the interpreter: nobody but the kernel could end it, and nobody was left to say why."""
    worker = make_worker()
    task = claim(make_task(timeout=0.001, max_attempts=2), worker)
    time.sleep(0.002)
    sweeps.rescue(worker, "The worker's process died.")
    failed = stored(task)
    assert (failed.status, failed.crashes, failed.error["type"]) == ("failed", 0, "DeadlineExceeded")
    assert failed.error["detail"].startswith("The deadline of 0.001 s passed")
    assert failed.run_at > failed.updated_at
    assert Attempt.objects.get().error["type"] == "DeadlineExceeded"


@pytest.mark.django_db
def test_a_request_is_fulfilled_by_the_death_of_the_worker():
    worker = make_worker()
    task = claim(make_task(), worker)
    lifecycle.cancel(task.pk, "alice")
    sweeps.rescue(worker, "gone")
    assert stored(task).status == "canceled"


@pytest.mark.django_db
@pytest.mark.parametrize("end", ["lost_at", "stopped_at"])
def test_what_a_session_claimed_that_had_ended_already_is_taken_back(end):
    """A process that was frozen between its look at the lease and the claim does not know that it is lost."""
    ended, alive = make_worker(**{end: database_now()}), make_worker()
    stranded, held = claim(make_task(), ended), claim(make_task(), alive)
    assert sweeps.rescue_stranded() == 1
    assert sweeps.rescue_stranded() == 0
    assert (stored(stranded).status, stored(stranded).attempt, stored(held).status) == ("pending", 0, "processing")


@pytest.mark.usefixtures("every_database")
def test_what_is_held_by_one_whom_nobody_remembers_is_given_back_too():
    worker = make_worker()
    task = claim(make_task(), worker)
    Worker.objects.filter(pk=worker.pk)._raw_delete("default")
    assert (sweeps.rescue_stranded(), stored(task).status) == (1, "pending")


@pytest.mark.django_db
def test_a_deferred_callback_belongs_to_nobody_and_is_not_stranded():
    task = claim(submit(callback_url="http://127.0.0.1:9/"), make_worker(role="loop"))
    lifecycle.defer(task.pk, task.lease, 3600, "test")
    assert sweeps.rescue_stranded() == 0


@pytest.mark.usefixtures("every_database")
def test_two_who_find_the_same_worker_rescue_its_tasks_once():
    worker = expired_worker()
    for _ in range(20):
        claim(make_task(), worker)
    found, errors, together = [], [], threading.Barrier(4)

    def sweep() -> None:
        watch = LeaseWatch()
        watch.may_judge = lambda now: True
        try:
            together.wait(60)
            found.append(watch.rescue_expired() + sweeps.rescue_stranded())
        except Exception as error:  # shown below
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=sweep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(found) == [0, 0, 0, 20]
    assert Attempt.objects.count() == 20
    assert TaskEvent.objects.filter(action="rescue").count() == 20


# -- retention ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_events_are_kept_for_their_time_and_progress_for_a_shorter_one(settings):
    settings.TASKHUB_EVENTS_KEEP_S, settings.TASKHUB_PROGRESS_KEEP_S = 1000, 100
    task = claim(make_task())
    lifecycle.report([lifecycle.Progress(task.pk, task.lease, 1, "")], "test")
    lifecycle.report([lifecycle.Progress(task.pk, task.lease, 2, "")], "test")
    created, claimed, old, new = TaskEvent.objects.order_by("id")
    ages = {created: 1001, claimed: 500, old: 101, new: 99}
    for event, age in ages.items():
        TaskEvent.objects.filter(pk=event.pk).update(timestamp=database_now() - age * SECOND)
    assert sweeps.prune_events() == 1
    assert set(TaskEvent.objects.all()) == {claimed, old, new}
    assert sweeps.prune_progress() == 2  # looked through
    assert set(TaskEvent.objects.all()) == {claimed, new}


@pytest.mark.django_db
def test_events_that_a_wrong_clock_dated_ahead_keep_no_others(settings, monkeypatch):
    monkeypatch.setattr(sweeps, "AT_ONCE", 2)
    settings.TASKHUB_EVENTS_KEEP_S = 1000
    for _ in range(12):
        make_task()
    ids = list(TaskEvent.objects.order_by("id").values_list("pk", flat=True))
    TaskEvent.objects.update(timestamp=database_now() - 2000 * SECOND)
    TaskEvent.objects.filter(pk__in=ids[:3]).update(timestamp=database_now() + 10**6 * SECOND)
    TaskEvent.objects.filter(pk=ids[-1]).update(timestamp=database_now())
    while sweeps.prune_events():
        pass
    assert list(TaskEvent.objects.values_list("pk", flat=True)) == ids[-1:]


@pytest.mark.django_db
def test_progress_is_pruned_from_where_the_last_sweep_stopped(settings, monkeypatch):
    monkeypatch.setattr(sweeps, "AT_ONCE", 2)
    settings.TASKHUB_PROGRESS_KEEP_S = 0
    task = claim(make_task())
    for percent in (1, 2):
        lifecycle.report([lifecycle.Progress(task.pk, task.lease, percent, "")], "test")
    assert [sweeps.prune_progress() for _ in range(3)] == [2, 2, 0]
    lifecycle.report([lifecycle.Progress(task.pk, task.lease, 3, "")], "test")
    assert sweeps.prune_progress() == 1
    assert not TaskEvent.objects.filter(type="task_progress").exists()


@pytest.mark.django_db
def test_a_sweep_that_had_its_hands_full_goes_on_in_the_next_round(settings, monkeypatch):
    monkeypatch.setattr(sweeps, "AT_ONCE", 2)
    settings.TASKHUB_EVENTS_KEEP_S = 0
    for _ in range(3):
        make_task()
    sweeper = sweeps.Sweeper()
    sweeper.round()
    assert TaskEvent.objects.count() == 1
    sweeper.round()
    assert TaskEvent.objects.count() == 0


@pytest.mark.django_db
def test_what_is_over_is_kept_for_its_time_and_dead_letters_for_ever(settings):
    settings.TASKHUB_RETENTION_DAYS = 30
    old, new, dead, open_ = make_task("completed"), make_task("canceled"), make_task("dead_lettered"), make_task()
    for task in (old, dead):
        Task.objects.filter(pk=task.pk).update(finished_at=database_now() - dt.timedelta(days=31))
    assert sweeps.prune_tasks() == 1
    assert set(Task.objects.all()) == {new, dead, open_}


@pytest.mark.django_db
def test_a_task_that_is_resurrected_in_the_last_moment_is_not_thrown_away(monkeypatch):
    task = make_task("canceled")
    Task.objects.update(finished_at=database_now() - dt.timedelta(days=3650))
    real = lifecycle._prune
    monkeypatch.setattr(lifecycle, "_prune", lambda tasks: lifecycle.resurrect(task.pk, "alice") and real(tasks))
    assert sweeps.prune_tasks() == 0
    assert stored(task).status == "pending"


@pytest.mark.django_db
def test_keys_tickets_and_links_go_with_their_time(alice):
    now = database_now()
    submit("test.echo", idempotency_key="old")
    submit("test.echo", idempotency_key="new")
    IdempotencyKey.objects.filter(key="old").update(created_at=now - IdempotencyKey.KEPT - SECOND)
    for model in (StreamTicket, SigninLink):
        for name, expires_at in (("old", now - SECOND), ("new", now + 60 * SECOND)):
            model.objects.create(user=alice, digest=name, expires_at=expires_at)
    for name, end in (("old", now - SECOND), ("new", now + 60 * SECOND)):
        RateWindow.objects.create(key=name, count=1, ends_at=end)
        Session.objects.create(session_key=name, expire_date=end)
    assert sweeps.prune_credentials() == 5
    assert IdempotencyKey.objects.get().key == "new"
    assert (StreamTicket.objects.count(), SigninLink.objects.count()) == (1, 1)
    assert (RateWindow.objects.get().key, Session.objects.get().session_key) == ("new", "new")


@pytest.mark.django_db
def test_sessions_that_ended_long_ago_go_unless_a_task_still_names_them():
    then = database_now() - sweeps.SESSIONS_KEPT - SECOND
    make_worker(heartbeat_at=then, stopped_at=then)
    alive, recent = make_worker(heartbeat_at=then), make_worker(stopped_at=database_now())
    holding = make_worker(heartbeat_at=then, lost_at=then)
    claim(make_task(), holding)
    assert sweeps.prune_sessions() == 1
    assert set(Worker.objects.all()) == {alive, recent, holding}


@pytest.mark.django_db
def test_an_idle_hub_writes_nothing():
    """Each write would wake everybody who waits."""
    make_task("completed")
    sweeper = Sweeper()
    sweeper.round()
    with connection.execute_wrapper(_reads_only):
        for step in sweeper._every:
            step()


def _reads_only(execute, sql, params, many, context):
    assert sql.lstrip().upper().startswith("SELECT"), sql
    return execute(sql, params, many, context)


# -- the loop -------------------------------------------------------------------------------------------------------


def test_each_step_has_its_own_pace_and_none_stops_the_others(monkeypatch):
    calls: list[str] = []

    def step(name: str, error: Exception | None = None):
        def sweep() -> int:
            calls.append(name)
            if error:
                raise error
            return 0

        return sweep

    sweeper = Sweeper()
    sweeper._every = {
        step("often", OperationalError("away")): 1,
        step("odd", ZeroDivisionError()): 1,
        step("seldom"): 60,
    }
    sweeper._next = dict.fromkeys(sweeper._every, 0.0)
    sweeper._outages = {s: sweeps.Outage("test") for s in sweeper._every}
    now = time.monotonic()
    for later in (0, 0.5, 1, 2):
        monkeypatch.setattr(time, "monotonic", lambda: now + later)  # noqa: B023 - called at once
        sweeper.round()
    assert (calls.count("often"), calls.count("odd"), calls.count("seldom")) == (3, 3, 1)


def test_the_thread_goes_round_until_it_is_finished(monkeypatch):
    rounds = []
    monkeypatch.setattr(sweeps, "PAUSE", 0.01)
    sweeper = Sweeper()
    monkeypatch.setattr(sweeper, "round", lambda: rounds.append(1))
    sweeper.start()
    until(lambda: len(rounds) > 1, "two rounds")
    sweeper.finish()
    until(lambda: not sweeper.is_alive(), "the thread to end")
