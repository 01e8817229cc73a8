"""Who a worker is, and how long it may act as it: by two clocks, neither of which trusts the other."""

from __future__ import annotations

import datetime as dt
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import psycopg
import pytest
from django.db import OperationalError, connection, connections, transaction
from django.db.backends.signals import connection_created

from tasks import hints
from tasks.database import database_now, uuid7
from tasks.engine import halt, lifeline, session
from tasks.engine.session import Session, abandon, cut_off, is_dead, sign_connections
from tasks.models import Attempt, Task, Worker
from tests.factories import claim, make_task, make_worker

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def lease(settings):
    settings.TASKHUB_HEARTBEAT_S, settings.TASKHUB_LEASE_S, settings.TASKHUB_SHUTDOWN_GRACE_S = 5, 15, 25


@pytest.fixture
def clock(monkeypatch):
    """The monotonic clock, as the session sees it."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(session, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def ours(clock):
    return Session(uuid7(), Worker.Roles.PLAIN)


@pytest.fixture
def signed():
    """Sign this process's connections as a worker's, until the test's end."""
    yield sign_connections
    connection_created.disconnect(dispatch_uid="tasks.engine.session")
    vars(session._backends).clear()


def row(session: Session) -> Worker:
    return Worker.objects.get(pk=session.worker.pk)


def test_it_is_registered_with_a_lease(ours):
    stored = row(ours)
    assert (stored.pid, stored.role, stored.host) == (os.getpid(), "plain", socket.gethostname()[:255])
    assert stored.machine == session.machine()
    assert stored.expires_at - stored.heartbeat_at == dt.timedelta(seconds=15)


def test_it_can_be_registered_again_by_who_could_not_see_whether_it_was(clock):
    id = uuid7()
    Session(id, Worker.Roles.PLAIN)
    Session(id, Worker.Roles.PLAIN)
    assert Worker.objects.count() == 1


def test_it_may_start_tasks_while_the_lease_surely_outlives_the_next_renewal(ours, clock):
    clock.now += 9.9
    assert ours.is_safe
    clock.now += 0.2
    assert not ours.is_safe


def test_a_renewal_counts_from_the_moment_in_which_it_began(ours, clock, monkeypatch):
    def slow_now():
        clock.now += 8
        return database_now()

    monkeypatch.setattr(session, "database_now", slow_now)
    ours.renew()
    clock.now += 1.9
    assert ours.is_safe
    clock.now += 0.2
    assert not ours.is_safe


def test_a_slow_registration_counts_from_its_beginning_too(clock, monkeypatch):
    def slow_now():
        clock.now += 10.1
        return database_now()

    monkeypatch.setattr(session, "database_now", slow_now)
    assert not Session(uuid7(), Worker.Roles.PLAIN).is_safe


def test_it_is_punctual_as_long_as_no_renewal_is_missing(ours, clock):
    clock.now += 7.9
    assert ours.is_punctual
    clock.now += 0.2
    assert not ours.is_punctual


def test_a_renewal_that_fails_makes_nothing_safer(ours, clock, monkeypatch):
    def away():
        raise OperationalError

    clock.now += 9
    monkeypatch.setattr(session, "database_now", away)
    with pytest.raises(OperationalError):
        ours.renew()
    clock.now += 2
    assert not ours.is_safe
    assert not ours.is_lost


def test_a_renewal_pushes_the_lease_forward(ours):
    before = row(ours).expires_at
    ours.renew()
    assert row(ours).expires_at > before


def test_who_was_declared_lost_stays_lost(ours, clock):
    Worker.objects.filter(pk=ours.worker.pk).update(lost_at=database_now())
    before = row(ours).expires_at
    ours.renew()
    assert (ours.is_lost, ours.is_safe, ours.ending) == (True, False, True)
    assert row(ours).expires_at == before


def test_idleness_is_told_with_the_renewals(ours):
    ours.is_idle = True
    ours.renew()
    since = row(ours).idle_since
    assert since
    ours.renew()
    assert row(ours).idle_since == since
    ours.is_idle = False
    ours.renew()
    assert row(ours).idle_since is None


def test_it_ends_when_it_is_told_to_and_running_work_has_its_grace(ours, clock):
    assert (ours.ending, ours.grace_ends) == (False, None)
    ours.stop()
    clock.now += 10
    ours.stop()
    assert (ours.ending, ours.grace_ends) == (True, 1025.0)


@pytest.mark.parametrize("word", ["lifeline", "halt", "parent"])
def test_there_are_three_ways_to_tell_it(ours, clock, monkeypatch, word):
    assert not ours.ending
    clock.now += session.LOOK_S
    match word:
        case "lifeline":
            monkeypatch.setattr(lifeline, "stopping", lambda: True)
        case "halt":
            monkeypatch.setattr(halt, "is_said", lambda: True)
        case "parent":
            monkeypatch.setattr(os, "getppid", lambda: 1)
    assert ours.ending
    assert ours.grace_ends is not None


def test_the_end_is_noted_unless_it_was_declared_lost(ours):
    ours.close()
    assert row(ours).stopped_at
    lost = make_worker(lost_at=database_now())
    ours.worker = lost
    ours.close()
    assert row(ours).stopped_at is None


# -- others ---------------------------------------------------------------------------------------------------------


def test_a_worker_that_was_stopped_on_purpose_gives_back_what_it_held():
    worker = make_worker()
    task = claim(make_task(), worker)
    assert abandon(worker) == 1
    assert abandon(worker) == 0
    stored = Task.objects.get(pk=task.pk)
    assert (stored.status, stored.attempt, stored.crashes, stored.rescues) == ("pending", 0, 0, 0)
    assert Attempt.objects.get().outcome == "released"


def test_a_process_is_dead_when_it_is_seen_to_be_gone():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(60)
    assert is_dead(make_worker(pid=process.pid, machine=session.machine()))
    assert not is_dead(make_worker(pid=os.getpid(), machine=session.machine()))


def test_nobody_can_tell_of_another_machine_or_of_an_unknown_one(monkeypatch):
    assert not is_dead(make_worker(pid=2**22 + 1, machine="elsewhere"))
    monkeypatch.setattr(session, "machine", lambda: "")
    assert not is_dead(make_worker(pid=2**22 + 1, machine=""))


def test_a_process_of_somebody_elses_is_not_called_dead(monkeypatch):
    def forbidden(pid, number):
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    assert not is_dead(make_worker(machine=session.machine()))


def test_a_machine_is_a_boot_and_a_namespace():
    if sys.platform == "linux":
        assert len(session.machine().split()) == 2
    assert session.machine() == session.machine()


@pytest.mark.postgres
def test_the_connections_of_a_silent_worker_are_ended_and_no_others(on_postgres):
    silent, other = make_worker(), make_worker()
    url, options = on_postgres, {}
    for worker in (silent, other):
        options[worker.pk] = psycopg.connect(url, application_name=session._signature(worker.pk))
    cut_off(silent)
    with pytest.raises(psycopg.OperationalError):
        options[silent.pk].execute("SELECT 1")
    assert options[other.pk].execute("SELECT 1").fetchone() == (1,)
    options[other.pk].close()


@pytest.mark.postgres
def test_a_process_signs_the_connections_that_it_opens(on_postgres, signed):
    id = uuid7()
    connection.close()
    signed(id)
    with connection.cursor() as cursor:
        cursor.execute("SHOW application_name")
        assert cursor.fetchone() == (f"taskhub {id}",)


@pytest.mark.postgres
def test_a_new_connection_ends_the_broken_one_before_it(on_postgres, signed):
    """Its transaction would keep tasks locked for as long as the server takes to notice."""
    task = make_task()
    connection.close()
    signed(uuid7())
    transaction.set_autocommit(False)
    Task.objects.select_for_update().get()
    broken, connection.connection = connection.connection, None
    connection.connect()
    with transaction.atomic():
        assert Task.objects.select_for_update().get().pk == task.pk
    with pytest.raises(psycopg.OperationalError, match="terminating connection"):
        broken.execute("SELECT 1")


@pytest.mark.postgres
def test_a_listener_in_the_same_thread_keeps_its_connection(on_postgres, signed):
    connection.close()
    signed(uuid7())
    connection.connect()
    with hints.PostgresListener(hints.WORK) as listener:
        assert listener.wait(1)
        connection.close()
        connection.connect()
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {hints.CHANNEL[hints.WORK]}")
        assert listener.wait(5)


def test_sqlite_has_no_connections_to_sign_or_to_end():
    before = dict(connections.settings["default"]["OPTIONS"])
    sign_connections(uuid7())
    cut_off(make_worker())
    assert connections.settings["default"]["OPTIONS"] == before
