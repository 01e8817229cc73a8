"""A committed change wakes whoever waits."""

from __future__ import annotations

import pytest
from django.db import transaction

from tasks import hints, submit
from tasks.states import Actions
from tests.factories import claim, end, make_task


@pytest.mark.django_db(transaction=True)
def test_a_change_is_hinted_at_once_it_is_committed(monkeypatch):
    sent = []
    monkeypatch.setattr(hints, "send", lambda topic=hints.NEWS: sent.append(topic))
    with transaction.atomic():
        submit("test.echo")
        assert sent == []
    assert sorted(sent) == [hints.NEWS, hints.WORK]


@pytest.mark.django_db(transaction=True)
def test_workers_hear_of_what_may_be_claimed_now_or_later_and_of_nothing_else(monkeypatch):
    heard = []
    task, other = make_task(), make_task()
    monkeypatch.setattr(hints, "send", lambda topic=hints.NEWS: heard.append(topic))
    claimed, another = claim(task), claim(other)
    end(claimed, Actions.COMPLETE)
    assert heard == [hints.NEWS] * 3
    end(another, Actions.FAIL)  # to be tried again later
    assert heard[3:] == [hints.NEWS, hints.WORK]
