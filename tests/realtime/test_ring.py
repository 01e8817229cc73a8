"""The ring gives what came after a position, or admits that it cannot."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime.ring import Entry, Ring
from tasks.cursor import Cursor, Hole
from tests.realtime.entries import EPOCH, entry, position


def ids(entries: list[Entry] | None) -> list[int] | None:
    return None if entries is None else [entry.id for entry in entries]


def filled(*numbers: int, start: int = 0, **limits: int) -> Ring:
    ring = Ring(position(start), **limits)
    ring.extend([entry(number) for number in numbers], position(numbers[-1]))
    return ring


def test_what_came_after_a_position():
    ring = filled(*range(1, 11))
    assert ids(ring.after(position(7), 100)) == [8, 9, 10]
    assert ids(ring.after(position(7), 2)) == [8, 9]
    assert ids(ring.after(position(10), 100)) == []
    assert ids(ring.after(position(0), 100)) == list(range(1, 11))


def test_what_it_has_dropped_it_does_not_pretend_to_know():
    ring = filled(*range(1, 101), events=50)
    assert ring.after(position(40), 1000) is None
    assert ids(ring.after(ring.start, 1000)) == list(range(ring.start.high + 1, 101))
    assert len(ring.after(ring.start, 1000) or []) <= 50


def test_it_is_bounded_by_size_too():
    ring = Ring(position(0), size=1000)
    for number in range(1, 100):
        ring.extend([entry(number, text="x" * 100)], position(number))
    assert len(ring.after(ring.start, 1000) or []) <= 10


def test_positions_of_another_history_are_refused():
    ring = filled(*range(5, 11), start=4)
    assert ring.after(position(7)._replace(tag=999), 10) is None
    assert ring.after(position(4)._replace(tag=999), 10) is None
    assert ring.after(position(7)._replace(epoch="ffffffff"), 10) is None
    assert ring.after(position(11), 10) is None
    assert ring.after(position(3), 10) is None


def test_holes_that_may_have_been_filled_before_the_ring_began_are_not_known():
    ring = Ring(position(10, Hole(3, 4)))
    ring.extend([entry(11, position(10, Hole(3, 4)), position(11, Hole(3, 4)))], position(11, Hole(3, 4)))
    assert ids(ring.after(position(10, Hole(4, 4)), 10)) == [11]
    assert ring.after(position(10, Hole(5, 5)), 10) is None
    assert ring.after(position(10, Hole(4, 5)), 10) is None
    assert ring.after(position(11, Hole(2, 3)), 10) is None


@st.composite
def histories(draw) -> tuple[list[Entry], list[Cursor]]:
    """Events whose ids appear in another order than they were given, as the feed would read them."""
    order = draw(st.permutations(range(1, draw(st.integers(2, 12)))))
    read: set[int] = set()
    positions = [position(0)]
    entries = []
    for number in order:
        read.add(number)
        high = max(read)
        holes = tuple(Hole(n, n) for n in range(1, high) if n not in read)
        positions.append(Cursor(EPOCH, high, high % 1000 + 1, holes))
        entries.append(entry(number, positions[-2], positions[-1]))
    return entries, positions


@given(histories(), st.data())
def test_after_any_position_of_a_disordered_history_comes_exactly_the_rest(history, data):
    entries, positions = history
    first = data.draw(st.integers(0, len(entries)))
    ring = Ring(positions[first])
    ring.extend(entries[first:], positions[-1])
    known = data.draw(st.integers(0, len(entries)))
    found = ring.after(positions[known], 100)
    if known >= first:
        assert ids(found) == ids(entries[known:])
    else:
        assert found is None or sorted(ids(found) or []) == sorted(ids(entries[known:]) or [])
