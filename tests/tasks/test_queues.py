"""Pausing a queue holds from the moment it is said, once, and is on record."""

from __future__ import annotations

from django.contrib.admin.models import LogEntry

from tasks import queues
from tasks.models import Queue


def test_pause_and_resume_are_recorded_once_each(alice):
    assert queues.pause("reports", alice)
    assert not queues.pause("reports", alice)
    assert Queue.objects.get(name="reports").paused_at is not None
    assert queues.resume("reports", alice)
    assert not queues.resume("reports", alice)
    assert Queue.objects.get(name="reports").paused_at is None
    entries = LogEntry.objects.order_by("pk").values_list("user__username", "object_repr", "change_message")
    assert list(entries) == [
        ("alice", "reports", "pause: running → paused"),
        ("alice", "reports", "resume: paused → running"),
    ]
