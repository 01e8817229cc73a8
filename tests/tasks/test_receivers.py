"""A committed change wakes whoever waits."""

from __future__ import annotations

import pytest
from django.db import transaction

from tasks import hints, submit


@pytest.mark.django_db(transaction=True)
def test_a_change_is_hinted_at_once_it_is_committed(monkeypatch):
    sent = []
    monkeypatch.setattr(hints, "send", lambda: sent.append(None))
    with transaction.atomic():
        submit("test.echo")
        assert sent == []
    assert len(sent) == 1
