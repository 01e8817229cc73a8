"""What should be rare is counted in the transaction in which it happens, and told in the log."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, transaction

from tasks import lifecycle, tallies
from tasks.changes import CHARGED_CRASHES, UNCHARGED_RESCUES, Outcome
from tasks.models import Task
from tasks.states import Actions
from tests.factories import claim, end, make_task


def lose(task: Task, charged: bool) -> Task:
    (lost,) = lifecycle.rescue(Task.objects.filter(pk=task.pk), charged)
    return lost


def report(task: Task, action: Actions = Actions.COMPLETE) -> None:
    lifecycle.record([Outcome(task.pk, task.present_lease, action)], "worker")


@pytest.mark.django_db
def test_nothing_has_happened_so_far():
    end(claim(make_task()), Actions.COMPLETE)
    assert tallies.totals() == {}


@pytest.mark.django_db
def test_a_stale_completion_counts_once_however_often_it_is_said(caplog):
    task = claim(make_task())
    lose(task, charged=False)
    report(task)
    report(task)
    assert tallies.totals() == {"rescues.uncharged": 1, "stale_completions": 1}
    assert f"Attempt 1 of task {task.pk}: its worker reported `complete` after it had lost the lease" in caplog.text


@pytest.mark.django_db
def test_an_end_that_is_only_said_twice_is_not_stale():
    task = claim(make_task())
    report(task)
    report(task)
    assert tallies.totals() == {}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("charged", "times", "kind"), [(True, CHARGED_CRASHES, "poison"), (False, UNCHARGED_RESCUES, "suspected_poison")]
)
def test_rescues_lead_to_poison(caplog, charged, times, kind):
    task = make_task()
    for _ in range(times):
        assert kind not in tallies.totals()
        lose(claim(task), charged)
    assert tallies.totals() == {f"rescues.{'charged' if charged else 'uncharged'}": times, kind: 1}
    assert f"Task {task.pk} (test.echo) is dead-lettered as poison." in caplog.text


@pytest.mark.django_db
def test_what_is_rolled_back_has_not_happened():
    task = claim(make_task())
    with transaction.atomic():
        lose(task, charged=True)
        transaction.set_rollback(True)
    assert tallies.totals() == {}


@pytest.mark.usefixtures("every_database")
def test_several_processes_add_to_the_same_numbers():
    def work() -> None:
        for _ in range(10):
            tallies.restarted("web")
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tallies.totals() == {"restarts.web": 30}
