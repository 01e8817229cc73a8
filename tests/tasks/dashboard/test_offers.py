"""A page offers what would work, to whom it would work for."""

from __future__ import annotations

import pytest

from tasks import lifecycle
from tasks.access import Principal
from tasks.dashboard import offers
from tasks.registry import find
from tests.factories import claim, make_task

pytestmark = pytest.mark.django_db

OPERATORS = {
    "pending": ["cancel", "pause"],
    "processing": ["cancel", "pause"],
    "failed": ["retry", "cancel", "pause"],
    "completed": [],
    "dead_lettered": ["resurrect"],
    "paused": ["cancel", "resume"],
    "canceled": ["resurrect"],
}


@pytest.mark.parametrize(("status", "verbs"), OPERATORS.items())
def test_an_operator_is_offered_what_the_state_accepts(operator, status, verbs):
    assert offers.operations(Principal(operator), make_task(status)) == verbs


@pytest.mark.parametrize(("status", "verbs"), OPERATORS.items())
def test_an_owner_is_offered_no_fresh_start(bob, status, verbs):
    task = make_task(status, owner=bob)
    assert offers.operations(Principal(bob), task) == [verb for verb in verbs if verb not in ("retry", "resurrect")]


@pytest.mark.parametrize("status", OPERATORS)
def test_a_stranger_is_offered_nothing(alice, bob, status):
    assert offers.operations(Principal(bob), make_task(status, owner=alice)) == []


@pytest.mark.parametrize(("request_", "verbs"), [(lifecycle.pause, ["cancel"]), (lifecycle.cancel, [])])
def test_what_was_requested_is_not_offered_again(operator, request_, verbs):
    task = request_(make_task("processing").pk, "alice")
    assert offers.operations(Principal(operator), task) == verbs


def test_a_deferred_callback_cannot_be_paused(operator):
    task = claim(make_task())
    lifecycle.defer(task.pk, task.lease, 60, "test")
    task.refresh_from_db()
    assert offers.operations(Principal(operator), task) == ["cancel"]


def test_every_offer_works(operator):
    for status, verbs in OPERATORS.items():
        for verb in verbs:
            getattr(lifecycle, verb)(make_task(status).pk, "alice")


def test_an_example_has_a_blank_for_each_argument_that_must_be_given():
    for handler in offers.handlers():
        find(handler["name"]).bind(handler["example"])
