"""`manage.py watch`, as a process of its own: in a pipe, and in a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from tasks import lifecycle, logs
from tasks.database import database_now
from tasks.lifecycle import Progress
from tasks.logs import LogLine
from tasks.management.commands import watch
from tasks.models import TaskEvent
from tasks.states import Actions
from tests.factories import claim, end, make_task
from tests.processes import until
from tests.realtime.servers import database_url

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

HOSTILE = "\x1b[2Jgone"


class Watching:
    """The command, and what it has said so far."""

    def __init__(self, *options: object, terminal: bool = False) -> None:
        command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "watch", *map(str, options)]
        self._ours, theirs = pty.openpty() if terminal else os.pipe()
        environment = {**os.environ, "DATABASE_URL": database_url(), "TERM": "xterm", "COLUMNS": "200"}
        self.process = subprocess.Popen(
            command, env=environment, stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL
        )
        os.close(theirs)
        self.said = ""

    def says(self, pattern: str) -> re.Match:
        return until(lambda: self._listen() and re.search(pattern, self.said), pattern)

    def _listen(self) -> bool:
        while select.select([self._ours], [], [], 0)[0]:
            try:
                chunk = os.read(self._ours, 65_536)
            except OSError:  # a terminal whose process is gone
                break
            if not chunk:
                break
            self.said += chunk.decode()
        return True

    def ends(self) -> int:
        code = self.process.wait(60)
        self._listen()
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)


@contextlib.contextmanager
def watching(*options: object, terminal: bool = False) -> Iterator[Watching]:
    command = Watching(*options, terminal=terminal)
    try:
        yield command
    finally:
        command.close()


def started(command: Watching, **options: object) -> None:
    """It looks: what it has said of a task proves it, and then what happens next is not missed."""

    def is_noticed() -> bool:
        task = make_task(**options)
        with contextlib.suppress(AssertionError):
            until(lambda: command._listen() and str(task.pk) in command.said, patience=1)
        return str(task.pk) in command.said

    until(is_noticed, "a first line")


def test_each_change_is_a_line():
    with watching() as command:
        started(command)
        task = claim(make_task(queue="mail"))
        lifecycle.report([Progress(task.pk, task.lease, 42.0, HOSTILE)], "w")
        task.refresh_from_db()
        end(task, Actions.BURY)
        command.says(rf"dead_lettered +test\.echo  {task.pk}  .*RuntimeError: it broke")
    lines = [line for line in command.said.splitlines() if str(task.pk) in line]
    assert [line.split()[1] for line in lines] == ["pending", "processing", "processing", "dead_lettered"]
    assert "submitted to mail by" in lines[0]
    assert "42%  [2Jgone" in lines[2]  # without what would clear the screen
    assert "\x1b" not in command.said


def test_only_a_queues_tasks_are_told():
    with watching("--queue", "mail") as command:
        started(command, queue="mail")
        other, mine = make_task(queue="other"), make_task(queue="mail")
        command.says(str(mine.pk))
    assert str(other.pk) not in command.said


@pytest.mark.parametrize(
    ("action", "code"), [(Actions.COMPLETE, 0), (Actions.BURY, 1)], ids=["completed", "dead_lettered"]
)
def test_a_task_is_told_from_its_beginning_to_its_end(action, code):
    task = claim(make_task())
    with watching("--task", task.pk) as command:
        command.says("processing .*attempt 1")
        logs.append(task, [LogLine("info", "half of it is done", database_now())])
        command.says("info .*half of it is done")
        ended = end(task, action)
        assert command.ends() == code
    words = [line.split()[1] for line in command.said.splitlines()]
    assert words == ["pending", "processing", "info", ended.status]


@pytest.mark.parametrize(("status", "code"), [("completed", 0), ("dead_lettered", 1), ("canceled", 1)])
def test_a_task_that_is_over_already(status, code):
    task, out = make_task(status), StringIO()
    with contextlib.suppress(SystemExit) if code == 0 else pytest.raises(SystemExit) as raised:
        call_command("watch", task=task.pk, stdout=out)
    assert code == 0 or raised.value.code == code
    assert out.getvalue().splitlines()[-1].split()[1] == status


def test_a_task_that_is_older_than_the_log():
    task, out = make_task("completed"), StringIO()
    TaskEvent.objects.all().delete()
    call_command("watch", task=task.pk, stdout=out)
    assert f"completed     test.echo  {task.pk}" in out.getvalue()


def test_an_unknown_task():
    with pytest.raises(CommandError, match="There is no task"):
        call_command("watch", task="00000000-0000-7000-8000-000000000000")


def test_in_a_terminal_what_runs_has_a_bar_below_the_lines():
    task = claim(make_task())
    with watching(terminal=True) as command:
        command.says("1 processing")
        lifecycle.report([Progress(task.pk, task.lease, 42.0, "page 3")], "w")
        command.says(rf"test\.echo  {task.pk} .*page 3")
        end(_fresh(task), Actions.COMPLETE)
        command.says("1 completed")
        command.process.send_signal(signal.SIGINT)
        assert command.ends() == 0
    assert "Traceback" not in command.said
    assert command.said.rindex("\x1b[?25h") > command.said.rindex("\x1b[?25l")  # the terminal has its cursor back


def _fresh(task):
    task.refresh_from_db()
    return task


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_watching_a_task_does_not_know_how_it_ends(signum):
    task = make_task()
    with watching("--task", task.pk) as command:
        command.says("pending")
        command.process.send_signal(signum)
        assert command.ends() == 130
    assert "Traceback" not in command.said


def test_an_outage_of_the_database_is_waited_for(monkeypatch):
    head = watch.cursor.head()
    task = make_task()
    answers = iter([watch.OperationalError("away"), watch.InterfaceError("closed")])
    read = watch.cursor.read

    def flaky(position):
        for error in answers:
            raise error
        return read(position)

    monkeypatch.setattr(watch.cursor, "read", flaky)
    found = watch.news(head)
    pages = [next(found) for _ in range(3)]
    found.close()
    assert pages[:2] == [[], []]
    assert [event.task_id for event in pages[2]] == [task.pk]
