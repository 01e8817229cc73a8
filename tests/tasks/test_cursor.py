"""Nothing in the log is missed, nothing comes twice, whatever the order of commits."""

from __future__ import annotations

import random
import threading
import time

import pytest
from django.db import connection, transaction
from django.db.models import Q
from hypothesis import given
from hypothesis import strategies as st

from tasks import cursor, lifecycle, submit
from tasks.cursor import Cursor, Hole
from tasks.models import Marker, TaskEvent
from tasks.states import Actions
from tests.factories import claim, end, make_task


def drain(position: Cursor, limit: int = 500) -> tuple[list[TaskEvent], Cursor]:
    """Everything that can be read on from `position`."""
    events: list[TaskEvent] = []
    while (page := cursor.read(position, limit)).entries:
        events += [event for event, _ in page.entries]
        position = page.end
    return events, page.end


def ids(events) -> list[int]:
    return [event.id for event in events]


def everything() -> list[int]:
    return list(TaskEvent.objects.order_by("id").values_list("id", flat=True))


class Transaction:
    """A transaction in a thread of its own that submits tasks, then waits to be told how to end."""

    def __init__(self, tasks: int = 1) -> None:
        self._tasks = tasks
        self._end, self._written, self._commits = threading.Event(), threading.Event(), True
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._written.wait(10)

    def _run(self) -> None:
        with transaction.atomic():
            for _ in range(self._tasks):
                submit("test.echo")
            self._written.set()
            self._end.wait(10)
            transaction.set_rollback(not self._commits)
        connection.close()

    def finish(self, commits: bool) -> None:
        self._commits = commits
        self._end.set()
        self._thread.join(10)


# -- the text ------------------------------------------------------------------------------------------------------


@st.composite
def cursors(draw) -> Cursor:
    edges = sorted(draw(st.sets(st.integers(1, 10**6), max_size=40)))
    holes = tuple(Hole(first, last) for first, last in zip(edges[::2], edges[1::2], strict=False))
    high = (edges[-1] if edges else 0) + draw(st.integers(1, 10**12))
    return Cursor(f"{draw(st.integers(0, 2**32 - 1)):08x}", high, draw(st.integers(0, 2**32 - 1)), holes)


@given(cursors())
def test_the_text_says_all_there_is_to_say(position):
    assert cursor.parse(str(position)) == position


@given(st.text() | st.from_regex(r"[0-9a-f]{8}\.[0-9a-f]{1,20}\.[0-9a-f]{1,9}(_[0-9a-f-]{1,9})*", fullmatch=True))
def test_what_is_no_cursor_is_refused_or_makes_sense(text):
    position = cursor.parse(text)
    if position is not None:
        edges = [edge for hole in position.holes for edge in (hole.first, hole.last)]
        assert edges == sorted(edges)
        assert all(0 < edge <= position.high for edge in edges)


def test_has():
    position = Cursor("e", 10, 1, (Hole(3, 4), Hole(8, 8)))
    assert [n for n in range(1, 13) if position.has(n)] == [1, 2, 5, 6, 7, 9, 10]


# -- reading -------------------------------------------------------------------------------------------------------


def test_the_head_is_behind_all_that_is_committed(every_database):
    make_task("completed")
    head = cursor.head()
    assert drain(head)[0] == []
    new = make_task("completed")
    events, _ = drain(head)
    assert [(event.task_id, event.version) for event in events] == [(new.pk, 1), (new.pk, 2), (new.pk, 3)]


def test_pages_follow_each_other(every_database):
    start = cursor.head()
    for _ in range(7):
        submit("test.echo")
    assert ids(drain(start, limit=3)[0]) == everything()


def test_a_client_goes_on_from_the_text_it_kept(every_database):
    submit("test.echo")
    for _, after in cursor.read(cursor.head()._replace(high=0, tag=0)).entries:
        assert cursor.resume(str(after)) == after
    kept = cursor.resume(str(cursor.head()))
    assert kept
    task = submit("test.echo")
    (entry,) = cursor.replay(kept, cursor.head()).entries
    assert entry[0].task_id == task.pk
    assert entry[1] == cursor.head()


def test_an_empty_log_has_a_head_too(every_database):
    head = cursor.resume(str(cursor.head()))
    assert head
    task = submit("test.echo")
    assert cursor.resume(str(head)) == head
    assert [event.task_id for event, _ in cursor.replay(head, cursor.head()).entries] == [task.pk]


def test_what_is_gone_or_strange_is_not_resumed(every_database):
    empty = cursor.head()
    for _ in range(3):
        submit("test.echo")
    head = cursor.head()
    first = cursor.read(empty).entries[0][1]
    assert cursor.resume(str(first)) == first

    assert cursor.resume(str(head._replace(high=head.high + 1))) is None, "from the future"
    assert cursor.resume(str(head._replace(high=head.high + 1, tag=0))) is None, "from an empty future"
    assert cursor.resume(str(head._replace(epoch="0" * 8))) is None, "of another hub"
    assert cursor.resume(str(head._replace(tag=head.tag ^ 1))) is None, "of another history"
    for garbage in ("", "x", "0.0.0", str(head) + "_", "\0", "é" * 5000, str(head) + "_1" * 5000):
        assert cursor.resume(garbage) is None

    TaskEvent.objects.filter(id=first.high).delete()
    assert cursor.resume(str(first)) is None, "pruned"
    TaskEvent.objects.filter(id__lt=head.high).delete()
    assert cursor.resume(str(empty)) is None, "what came after it was pruned"
    assert cursor.resume(str(head)) == head
    Marker.objects.all().delete()
    assert cursor.resume(str(head)) is None, "of an epoch that is over"


def test_a_replay_picks_what_is_asked_for_and_advances_over_the_rest(every_database):
    start = cursor.head()
    tasks = [submit("test.echo", queue=queue) for queue in ("a", "b", "a", "b")]
    until = cursor.head()
    page = cursor.replay(start, until, where=Q(queue="b"))
    assert [event.task_id for event, _ in page.entries] == [tasks[1].pk, tasks[3].pk]
    assert page.end == until
    page = cursor.replay(start, until, limit=1, where=Q(queue="b"))
    assert page.end == page.entries[0][1] != until
    page = cursor.replay(page.end, until, limit=2, where=Q(queue="b"))
    assert [event.task_id for event, _ in page.entries] == [tasks[3].pk]
    assert cursor.replay(until, until) == cursor.Page([], until)


# -- commits out of order (PostgreSQL) ------------------------------------------------------------------------------


@pytest.fixture
def start(on_postgres) -> Cursor:
    submit("test.echo")
    return cursor.head()


@pytest.mark.postgres
class TestHoles:
    def test_a_late_commit_is_delivered(self, start):
        late = Transaction()
        early = submit("test.echo")
        page = cursor.read(start)
        assert [event.task_id for event, _ in page.entries] == [early.pk]
        assert len(page.end.holes) == 1
        late.finish(commits=True)
        ((event, after),) = cursor.read(page.end).entries
        assert event.id < page.end.high
        assert after.holes == ()

    def test_a_hole_that_was_rolled_back_closes_once_its_transaction_has_ended(self, start):
        late = Transaction()
        submit("test.echo")
        end = cursor.read(start).end
        for _ in range(3):
            end = cursor.read(end).end
            assert len(end.holes) == 1
        late.finish(commits=False)
        page = cursor.read(end)
        assert page.entries == []
        assert page.end.holes == ()

    def test_a_transaction_that_came_later_keeps_no_hole_open(self, start):
        lost = Transaction()
        submit("test.echo")
        end = cursor.read(start).end
        other = Transaction()
        lost.finish(commits=False)
        assert cursor.read(end).end.holes == ()
        other.finish(commits=True)

    def test_the_head_knows_what_is_in_flight(self, start):
        late = Transaction()
        submit("test.echo")
        head = cursor.head()
        assert len(head.holes) == 1
        kept = cursor.resume(str(head))
        assert kept
        assert cursor.replay(kept, cursor.head()).entries == []
        late.finish(commits=True)
        assert len(cursor.replay(kept, cursor.head()).entries) == 1
        assert len(cursor.read(head).entries) == 1

    def test_so_does_the_head_of_a_log_whose_first_event_is(self, on_postgres):
        late = Transaction()
        submit("test.echo")
        head = cursor.head()
        late.finish(commits=True)
        assert len(cursor.read(head).entries) == 1

    def test_the_head_of_an_empty_log_knows_it_too(self, on_postgres):
        late = Transaction()
        head = cursor.head()
        late.finish(commits=True)
        assert len(cursor.read(head).entries) == 1

    def test_replay_fills_holes_first_and_leaves_open_ones_to_come(self, start):
        first, second = Transaction(), Transaction()
        submit("test.echo")
        since = cursor.read(start).end
        first.finish(commits=True)
        submit("test.echo")
        until = cursor.head()
        page = cursor.replay(since, until)
        second.finish(commits=True)
        assert len(page.entries) == 2
        assert page.entries[0][0].id < since.high < page.entries[1][0].id
        for event, after in page.entries:
            assert after.has(event.id)
            left = [event for event, _ in cursor.replay(after, cursor.head()).entries]
            expected = [n for n in everything() if not after.has(n)]
            assert ids(left) == expected
        assert page.end == until

    def test_a_hole_that_was_filled_while_nobody_looked_is_delivered_before_it_closes(self, start, monkeypatch):
        """Its transaction commits after the rows were read and before it is asked who still writes."""
        late = Transaction()
        early = submit("test.echo")
        ask = cursor._writers
        monkeypatch.setattr(cursor, "_writers", lambda: (late.finish(commits=True), ask())[1])
        page = cursor.read(start)
        assert ids(event for event, _ in page.entries) == [start.high + 2, start.high + 1]
        assert page.entries[0][0].task_id == early.pk
        assert page.end.holes == ()

    def test_a_page_that_is_full_closes_nothing_and_the_next_goes_on(self, start):
        """More fills a hole than one page takes; what was committed later waits behind it."""
        late = Transaction(tasks=7)
        submit("test.echo")
        end = cursor.read(start).end
        late.finish(commits=True)
        last = submit("test.echo")
        events, end = drain(end, limit=3)
        assert ids(events) == [*range(start.high + 1, start.high + 8), start.high + 9]
        assert events[-1].task_id == last.pk
        assert end.holes == ()


WRITERS, EACH = 20, 15


def write_slowly(seed: int) -> None:
    """Commits and rollbacks, each some time after its id was given; some tasks go through several versions."""
    chance = random.Random(seed)
    for _ in range(EACH):
        with transaction.atomic():
            task = submit("test.echo")
            time.sleep(chance.uniform(0, 0.02))
            transaction.set_rollback(chance.random() < 0.2)
        if chance.random() < 0.5 and TaskEvent.objects.filter(task_id=task.pk).exists():
            with transaction.atomic():
                end(claim(task), Actions.FAIL)
                time.sleep(chance.uniform(0, 0.01))
            lifecycle.cancel(task.pk, "test")
    connection.close()


@pytest.mark.postgres
def test_twenty_writers_who_commit_out_of_order_lose_nothing(start):
    """Three readers: ours, ours that resumes from the text now and then, and the naive one, which must lose."""
    threads = [threading.Thread(target=write_slowly, args=[seed]) for seed in range(WRITERS)]
    for thread in threads:
        thread.start()
    position, kept, naive = start, str(start), start.high
    live: list[TaskEvent] = []
    resumed: list[TaskEvent] = []
    naive_ids: list[int] = []
    running = True
    while running or position.holes:
        running = any(thread.is_alive() for thread in threads)
        page = cursor.read(position, limit=7)
        live += [event for event, _ in page.entries]
        position = page.end

        since = cursor.resume(kept)
        assert since
        page = cursor.replay(since, cursor.head(), limit=5)
        resumed += [event for event, _ in page.entries]
        kept = str(page.end)

        fresh = list(TaskEvent.objects.filter(id__gt=naive).order_by("id").values_list("id", flat=True))
        naive_ids += fresh
        naive = fresh[-1] if fresh else naive
    live += drain(position)[0]
    resumed += [event for event, _ in cursor.replay(cursor.parse(kept) or start, cursor.head(), limit=10_000).entries]

    expected = [n for n in everything() if n > start.high]
    assert sorted(ids(live)) == expected
    assert sorted(ids(resumed)) == expected
    assert len(naive_ids) < len(expected), "the control lost nothing: the test doesn't bite"
    for events in (live, resumed):
        versions: dict = {}
        for event in events:
            assert event.version == versions.get(event.task_id, 0) + 1
            versions[event.task_id] = event.version
