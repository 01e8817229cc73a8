"""Who gets an event; and that the index, the match of a replay and the database's condition agree."""

from __future__ import annotations

import itertools

import pytest

from realtime.feed import encoded
from realtime.messages import Key
from realtime.subscriptions import Index, Subscription
from tasks import cursor, lifecycle
from tasks.cursor import Page
from tasks.models import TaskEvent
from tests.factories import claim, make_task
from tests.realtime.entries import entry, position
from tests.tasks.pipelines.factories import make_pipeline, run


class Receiver:
    def deliver(self, entries) -> None:
        raise AssertionError


def test_an_event_goes_once_to_each_whose_subscription_fits():
    index = Index()
    task, queue, everything, other = Receiver(), Receiver(), Receiver(), Receiver()
    index.add(task, Subscription(Key("task_id", "t")))
    index.add(task, Subscription(Key("queue", "q")))
    index.add(queue, Subscription(Key("queue", "q")))
    index.add(everything, Subscription(Key("task_id", "*")))
    index.add(everything, Subscription(Key("queue", "*")))
    index.add(other, Subscription(Key("queue", "other")))
    index.add(other, Subscription(Key("task_id", "other")))
    index.add(other, Subscription(Key("pipeline_id", "*")))
    assert index.receivers(entry(1)) == {task, queue, everything}


def test_what_belongs_to_somebody_goes_to_them_and_to_those_who_see_everything():
    index = Index()
    anna, bert, root = Receiver(), Receiver(), Receiver()
    for receiver, owner in ((anna, 1), (bert, 2), (root, None)):
        index.add(receiver, Subscription(Key("task_id", "*"), owner_id=owner))
    assert index.receivers(entry(1, owner_id=1)) == {anna, root}
    assert index.receivers(entry(2, owner_id=None)) == {root}


def test_the_events_of_a_pipeline_go_to_those_who_follow_pipelines():
    index = Index()
    one, every, tasks = Receiver(), Receiver(), Receiver()
    index.add(one, Subscription(Key("pipeline_id", "p")))
    index.add(every, Subscription(Key("pipeline_id", "*")))
    index.add(tasks, Subscription(Key("task_id", "*")))
    assert index.receivers(entry(1, pipeline_id="p", task_id=None)) == {one, every}


def test_who_has_left_gets_nothing():
    index, receiver = Index(), Receiver()
    subscription = Subscription(Key("queue", "q"))
    index.add(receiver, subscription)
    index.remove(receiver, subscription)
    index.remove(receiver, subscription)
    assert index.receivers(entry(1)) == set()


def test_filters():
    subscription = Subscription(Key("queue", "q"), frozenset({"task_updated"}), frozenset({"failed"}), version=5)
    assert subscription.wants(entry(9, status="failed"))
    assert not subscription.wants(entry(9, status="pending"))
    assert not subscription.wants(entry(9, status="failed", type="task_created"))
    assert not subscription.wants(entry(5, status="failed"))


def test_what_lies_before_its_start_is_no_match():
    subscription = Subscription(Key("queue", "q"), start=position(5))
    assert not subscription.matches(entry(5))
    assert subscription.matches(entry(6))


@pytest.mark.django_db
def test_index_match_and_database_agree(alice, bob):
    start = cursor.head()
    tasks = [make_task(status, queue=queue, owner=owner) for status, queue, owner in [
        ("completed", "a", alice), ("failed", "b", bob), ("canceled", "a", None), ("dead_lettered", "b", alice),
    ]]  # fmt: skip
    pipeline = make_pipeline(owner=alice)
    run(pipeline, "extract")
    running = claim(make_task())
    lifecycle.report([lifecycle.Progress(running.pk, running.lease, 50, "")], "test")
    rows = list(TaskEvent.objects.order_by("id"))
    entries = list(encoded(Page([(row, start) for row in rows], start), start))
    keys = [Key("task_id", "*"), Key("queue", "*"), Key("queue", "a"), Key("task_id", str(tasks[1].pk))]
    keys += [Key("pipeline_id", "*"), Key("pipeline_id", str(pipeline.pk))]
    events = [None, frozenset({"task_created", "task_progress"})]
    statuses = [None, frozenset({"failed", "pending"})]
    owners = [None, alice.pk, bob.pk]
    for key, types, states, owner in itertools.product(keys, events, statuses, owners):
        subscription = Subscription(key, types, states, owner)
        index, receiver = Index(), Receiver()
        index.add(receiver, subscription)
        by_index = {entry.id for entry in entries if index.receivers(entry)}
        assert by_index == {entry.id for entry in entries if subscription.matches(entry)}
        found = TaskEvent.objects.filter(subscription.where()).values_list("id", flat=True)
        assert by_index == {entry.id for entry in entries if entry.id in found and subscription.matches(entry)}
        assert key.value == "*" or by_index == set(found)
