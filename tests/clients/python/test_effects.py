"""Waits, and how long they may be."""

from __future__ import annotations

import pytest

from taskhub_client import WaitTimeout
from taskhub_client.effects import Deadline, backoff


def test_the_wait_is_at_least_half_a_second_and_at_most_a_doubling_ceiling_of_20():
    for failures, ceiling in [(1, 1), (2, 2), (3, 4), (5, 16), (6, 20), (1000, 20)]:
        waits = [backoff(failures) for _ in range(300)]
        assert min(waits) >= 0.5
        assert max(waits) <= ceiling


def test_the_jitter_is_full():
    waits = [backoff(9) for _ in range(300)]
    assert min(waits) < 5
    assert max(waits) > 15


def test_without_a_deadline_nothing_is_clipped():
    assert Deadline(None).clip(1e9) == 1e9


def test_a_deadline_clips_and_then_is_over():
    assert 99 < Deadline(100).clip(1000) <= 100
    assert Deadline(100).clip(1) == 1
    with pytest.raises(WaitTimeout):
        Deadline(0).clip(1)
    assert issubclass(WaitTimeout, TimeoutError)
