"""Nobody has more tasks waiting than the limit says, however they come."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth import get_user_model
from django.db import connections

from tasks import backlog, counts, lifecycle, submit
from tasks.exceptions import BacklogFull
from tasks.models import OwnerCount, Task
from tasks.pipelines.submission import submit as submit_pipeline
from tasks.states import States
from tests.factories import claim, make_task
from tests.tasks.pipelines.factories import step


@pytest.fixture
def limit(settings, db):
    settings.TASKHUB_BACKLOG_LIMIT = 3


def test_what_waits_is_known_through_every_verb_and_fold(alice, bob):
    for status in States.values:
        make_task(status, owner=alice)
        make_task(status)
    make_task(owner=bob)
    assert (backlog.waiting(alice.pk), backlog.waiting(bob.pk)) == (3, 1)
    counts.fold()
    assert (backlog.waiting(alice.pk), backlog.waiting(bob.pk)) == (3, 1)
    assert OwnerCount.objects.count() == 2


def test_over_the_limit_nothing_is_stored(limit, alice, bob):
    for _ in range(3):
        submit("test.echo", owner=alice)
    with pytest.raises(BacklogFull, match="Of your tasks 3 wait already; with 1 more it would be over 3"):
        submit("test.echo", owner=alice)
    assert Task.objects.count() == 3
    submit("test.echo", owner=bob)
    submit("test.echo")


def test_what_runs_makes_room_and_what_is_held_does_not(limit, alice):
    one, two, _ = (submit("test.echo", owner=alice) for _ in range(3))
    lifecycle.pause(two.pk, "alice")
    with pytest.raises(BacklogFull):
        submit("test.echo", owner=alice)
    claim(one)
    submit("test.echo", owner=alice)


def test_none_is_no_limit(settings, alice):
    settings.TASKHUB_BACKLOG_LIMIT = 0
    backlog.demand_room(alice.pk, 10**9)


def test_a_pipeline_counts_with_its_first_steps(limit, alice):
    wide = {"name": "wide", "pipeline_type": "parallel", "steps": [step(name) for name in "abcd"]}
    with pytest.raises(BacklogFull):
        submit_pipeline(wide, alice)
    submit_pipeline({"name": "long", "steps": [step(name) for name in "abcd"]}, alice)
    assert backlog.waiting(alice.pk) == 1


def test_two_hundred_at_once_pass_no_limit(every_database, settings):
    settings.TASKHUB_BACKLOG_LIMIT = 40
    owner = get_user_model().objects.create_user("alice")
    ready = threading.Barrier(10)

    def some(_) -> int:
        ready.wait()
        try:
            return sum(_accepts(owner) for _ in range(20))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(10) as pool:
        accepted = sum(pool.map(some, range(10)))
    assert accepted == backlog.waiting(owner.pk) == Task.objects.count() == 40


def _accepts(owner) -> bool:
    try:
        submit("test.echo", owner=owner)
    except BacklogFull:
        return False
    return True
