"""What waits for one socket: in order, and not without end."""

from __future__ import annotations

from realtime import outbox
from realtime.outbox import Outbox
from tests.realtime.entries import entry


def test_frames_and_events_keep_their_order():
    box = Outbox()
    first, second, third = entry(1), entry(2), entry(3)
    for item in (first, second, "frame", third):
        box.put(item)
    assert len(box) == 4
    assert [box.take(10), box.take(10), box.take(10)] == [[first, second], "frame", [third]]
    assert not box


def test_no_more_are_taken_than_asked_for():
    box = Outbox()
    entries = [entry(number) for number in range(1, 4)]
    for item in entries:
        box.put(item)
    assert [box.take(2), box.take(2)] == [entries[:2], entries[2:]]


def test_what_could_not_be_sent_is_the_next_again():
    box = Outbox()
    first, second, third = entry(1), entry(2), entry(3, text="x" * (outbox.SIZE + 1))
    for item in (first, second, third):
        box.put(item)
    box.put_back(box.take(3))
    assert box.is_full
    assert box.take(3) == [first, second, third]
    assert not box.is_full


def test_it_is_full_by_number_or_by_size():
    many, large = Outbox(), Outbox()
    for number in range(1, outbox.EVENTS + 1):
        assert not many.is_full
        many.put(entry(number))
    assert many.is_full
    large.put(entry(1, text="x" * (outbox.SIZE + 1)))
    assert large.is_full
    large.take(1)
    assert not large.is_full
    many.clear()
    assert not many.is_full
