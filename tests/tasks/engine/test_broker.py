"""What we use of django-q2, held still: the broker's interface, its packages, the status, and when a worker ends.

These tests fail when a release changes one of it, before a cluster does.
"""

from __future__ import annotations

import inspect
import multiprocessing
import os
import pydoc
import signal
import time
from functools import partial
from types import SimpleNamespace

import pytest
from django.conf import settings
from django_q import cluster, worker
from django_q.brokers import Broker, get_broker
from django_q.conf import Conf
from django_q.signing import SignedPackage
from django_q.status import Stat

from tasks.engine import broker as module
from tasks.engine import halt, lifeline, runner
from tasks.engine.broker import RUNNER, TicketBroker, ticket


@pytest.fixture(autouse=True)
def process(monkeypatch):
    """What the broker would do to this process, noted instead of done."""
    noted = SimpleNamespace(bound=[])
    for what in ("die_with_parent", "take_children_along"):
        monkeypatch.setattr(module, what, partial(noted.bound.append, what))
    before = signal.getsignal(signal.SIGTERM)
    yield noted
    signal.signal(signal.SIGTERM, before)
    halt._word[0] = 0


@pytest.fixture
def broker():
    return TicketBroker()


def test_the_settings_name_it():
    assert isinstance(get_broker(), TicketBroker)
    assert Conf.WORKERS == settings.TASKHUB_WORKERS + 1
    assert Conf.QUEUE_LIMIT == 1
    assert Conf.DAEMONIZE_WORKERS is False
    assert Conf.SCHEDULER is False


def test_it_has_every_method_that_a_broker_has(broker):
    theirs = {name for name, _ in inspect.getmembers(Broker, inspect.isfunction) if not name.startswith("_")}
    ours = {name for name in vars(TicketBroker) if not name.startswith("_")}
    assert ours <= theirs
    assert theirs - ours == {"delete", "delete_queue", "purge_queue", "fail", "get_cache", "get_connection"}


def test_tickets_never_run_out(broker):
    taken = [broker.dequeue() for _ in range(3)]
    assert len({ack for ((ack, _),) in taken}) == 3
    for ((_, package),) in taken:
        assert SignedPackage.loads(package)["func"] == RUNNER


def test_a_ticket_is_a_package_as_workers_and_monitor_read_it():
    package = ticket()
    assert pydoc.locate(package["func"]) is runner.run
    assert {"id", "name", "func", "args", "kwargs", "started", "timeout", "save", "ack_failure"} == package.keys()
    assert (package["timeout"], package["save"]) == (-1, False)
    assert ticket()["id"] != package["id"]


def test_a_stopping_pool_is_not_flooded_with_tickets(broker, monkeypatch):
    slept = []
    monkeypatch.setattr(lifeline, "stopping", lambda: True)
    monkeypatch.setattr(time, "sleep", slept.append)
    broker.dequeue()
    assert slept == [module.IDLE]


def test_nothing_can_be_queued_in_it(broker):
    with pytest.raises(NotImplementedError, match=r"tasks\.submit"):
        broker.enqueue("task")


def test_every_process_of_the_pool_ends_with_its_parent(broker, process):
    broker.ping()
    assert process.bound == ["die_with_parent", "take_children_along"]


def test_the_word_to_stop_is_taken_from_the_status(broker):
    for status in (Conf.STARTING, Conf.IDLE, Conf.WORKING, Conf.STOPPED):
        broker.set_stat("key", SignedPackage.dumps(SavedStatus(status)), 3)
    assert not halt.is_said()
    broker.set_stat("key", SignedPackage.dumps(SavedStatus(Conf.STOPPING)), 3)
    assert halt.is_said()


class SavedStatus:
    def __init__(self, status: str) -> None:
        self.status = status


def test_the_sentinel_saves_such_a_status_through_the_broker():
    source = inspect.getsource(Stat.save)
    assert "set_stat" in source
    assert "SignedPackage.dumps(self" in source
    assert "Stat(self).save()" in inspect.getsource(cluster.Sentinel.stop)
    assert "self.broker.ping()" in inspect.getsource(cluster.Sentinel.start)


def test_nobody_can_be_asked_how_the_cluster_is(broker):
    assert (broker.get_stat("key"), broker.get_stats("*"), broker.queue_size(), broker.lock_size()) == (None, [], 0, 0)
    assert broker.info()


def test_a_retired_process_ends_after_the_package_in_hand(monkeypatch):
    monkeypatch.setattr(Conf, "MAX_RSS", None)
    assert not worker.rss_check()
    module.retire()
    assert worker.rss_check()


@pytest.mark.parametrize("is_helper", [True, False])
def test_a_signal_to_the_whole_service_kills_none_of_the_processes_between(broker, monkeypatch, is_helper):
    """The parent's word is enough. Only of a pool that stops the helpers may end: django-q2 ends so one that hangs."""
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(multiprocessing.current_process(), "daemon", is_helper)
    broker.ping()
    signal.raise_signal(signal.SIGTERM)
    assert ended == []
    halt.say()
    signal.raise_signal(signal.SIGTERM)
    assert ended == [0] * is_helper
