"""Rows that are read and written past the ORM, and come out as the ORM would have them."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import IntegrityError, transaction

from tasks import rows, submit
from tasks.models import Queue, QueueCount, Task, TaskEvent

NOW = dt.datetime(2026, 11, 30, 1, 2, 3, 456789, tzinfo=dt.UTC)


@pytest.mark.usefixtures("every_database")
def test_named_fields_are_saved_and_no_others():
    counts = [QueueCount(pk=n, queue="a", status="pending", n=n) for n in (1, 2, 3)]
    QueueCount.objects.bulk_create(counts)
    for count in counts:
        count.n, count.queue, count.status = count.n * 10, "b", "failed"
    rows.save(counts[1:], ("n", "queue"))
    saved = QueueCount.objects.order_by("pk").values_list("n", "queue", "status")
    assert list(saved) == [(1, "a", "pending"), (20, "b", "pending"), (30, "b", "pending")]


@pytest.mark.usefixtures("every_database")
def test_a_row_is_looked_up_by_what_is_unique():
    task = submit("test.echo", {"value": "x"}, tags=["a"])
    found = rows.look_up(Task, pk=task.pk)
    assert found == task
    assert (found.payload, found.tags, found.created_at) == ({"value": "x"}, ["a"], task.created_at)
    assert rows.look_up(Queue, name="none") is None


@pytest.mark.usefixtures("every_database")
def test_batches_are_stored_together_and_errors_are_those_of_django():
    queues = [Queue(name="a"), Queue(name="b")]
    rows.insert(queues, [], [QueueCount(queue="a", status="pending", n=1)])
    assert (Queue.objects.count(), QueueCount.objects.count()) == (2, 1)
    assert not queues[0]._state.adding
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.insert([Queue(name="c")], [Queue(name="a")])
    assert Queue.objects.count() == 2


@pytest.mark.usefixtures("every_database")
@pytest.mark.parametrize("number", [1, 2, 30])
def test_few_and_many_are_stored_alike(number):
    """With all that a text format could trip over."""
    awkward = {"text": 'tab\t newline\n backslash \\N \\. quote"', "none": None, "list": [1, 2.5, True]}
    new = [
        Task(name=f"n{i}", payload=awkward, tags=["é", "\\"], run_at=NOW, created_at=NOW, updated_at=NOW)
        for i in range(number)
    ]
    rows.insert(new)
    assert {task.pk: (task.name, task.payload, task.tags, task.run_at) for task in Task.objects.all()} == {
        task.pk: (task.name, awkward, ["é", "\\"], NOW) for task in new
    }


@pytest.mark.usefixtures("every_database")
def test_a_batch_gets_its_ids_in_order():
    rows.insert([QueueCount(queue=f"q{n}", status="pending", n=n) for n in range(50)])
    assert [count.n for count in QueueCount.objects.order_by("pk")] == list(range(50))


@pytest.mark.usefixtures("every_database")
def test_fetched_rows_are_those_of_the_orm():
    task = submit("test.echo", {"value": "é"}, tags=["a"], delay=5)
    (fetched,) = rows.read(Task, rows.select(f"SELECT {rows.columns_of(Task)} FROM tasks_task"))
    loaded = Task.objects.get(pk=task.pk)
    read = lambda row: {field.attname: getattr(row, field.attname) for field in Task._meta.concrete_fields}  # noqa: E731
    assert read(fetched) == read(loaded)
    (event,) = rows.read(TaskEvent, rows.select(f"SELECT {rows.columns_of(TaskEvent)} FROM tasks_taskevent"))
    assert (event.task_id, event.data) == (task.pk, TaskEvent.objects.get().data)
