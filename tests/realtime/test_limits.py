"""How much a client may send."""

from __future__ import annotations

from realtime.limits import FRAME_SIZE, Rate, is_too_large


def test_a_window_slides():
    rate = Rate(frames=3, window_s=10)
    assert [rate.admits(now) for now in (0, 1, 2, 3, 9.9)] == [True, True, True, False, False]
    assert [rate.admits(now) for now in (10, 10.5, 11, 12, 12.1)] == [True, False, True, True, False]


def test_the_size_is_counted_in_bytes():
    assert not is_too_large("a" * FRAME_SIZE)
    assert is_too_large("a" * (FRAME_SIZE + 1))
    assert is_too_large("é" * (FRAME_SIZE // 2 + 1))
    assert not is_too_large(b"a" * FRAME_SIZE)
    assert is_too_large(b"a" * (FRAME_SIZE + 1))
