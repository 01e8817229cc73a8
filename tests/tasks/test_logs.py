"""The lines that handlers log: in the order in which they were said, over attempts and from threads."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from tasks import lifecycle, logs
from tasks.logs import LogLine
from tasks.models import Task, TaskLog
from tasks.signals import task_logged
from tests.factories import claim, make_task

NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def lines(*messages: str) -> list[LogLine]:
    return [LogLine("INFO", message, NOW) for message in messages]


def stored(task: Task) -> list[tuple[int, int, str]]:
    return list(TaskLog.objects.filter(task=task).order_by("seq").values_list("seq", "number", "message"))


@pytest.mark.django_db
def test_numbers_go_on_over_calls_and_attempts():
    task = claim(make_task())
    logs.append(task, lines("a", "b"))
    logs.append(task, lines("c"))
    lifecycle.rescue(Task.objects.filter(pk=task.pk), False)
    task = claim(task)
    logs.append(task, lines("d"))
    assert stored(task) == [(1, 1, "a"), (2, 1, "b"), (3, 1, "c"), (4, 2, "d")]


@pytest.mark.django_db
def test_a_line_keeps_its_level_and_its_time():
    task = claim(make_task())
    logs.append(task, [LogLine("WARNING", "careful", NOW)])
    line = TaskLog.objects.get(task=task)
    assert (line.level, line.message, line.timestamp) == ("WARNING", "careful", NOW)


@pytest.mark.django_db
def test_each_task_counts_for_itself():
    one, other = claim(make_task()), claim(make_task())
    logs.append(one, lines("a"))
    logs.append(other, lines("b"))
    assert stored(one)[0][0] == stored(other)[0][0] == 1


@pytest.mark.usefixtures("every_database")
def test_two_who_write_at_the_same_time_share_no_number():
    task = claim(make_task())

    def write(name: str) -> None:
        try:
            for number in range(5):
                logs.append(task, lines(f"{name}{number}"))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        for future in [threads.submit(write, name) for name in "abcd"]:
            future.result(60)
    assert [seq for seq, _, _ in stored(task)] == list(range(1, 21))


@pytest.mark.django_db
def test_a_task_that_has_been_deleted_meanwhile_keeps_no_lines():
    task = claim(make_task())
    Task.objects.filter(pk=task.pk).delete()
    logs.append(task, lines("a"))
    assert not TaskLog.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_lines_are_announced_once_they_are_committed():
    heard: list[object] = []
    task = claim(make_task())
    task_logged.connect(lambda task_id, **_: heard.append(task_id), weak=False, dispatch_uid="test")
    try:
        with transaction.atomic():
            logs.append(task, lines("a"))
            transaction.set_rollback(True)
        assert heard == []
        logs.append(task, lines("a"))
        assert heard == [task.pk]
    finally:
        task_logged.disconnect(dispatch_uid="test")
