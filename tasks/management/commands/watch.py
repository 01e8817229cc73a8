"""`manage.py watch`: what happens, live, in a terminal.

It reads the event log itself, from a cursor and after hints as the sockets' feed does, and not over a socket: so it
needs no token, and it works while no web server runs, which is when an operator looks most closely. In a terminal
what runs now stands below the lines with its progress; elsewhere there are plain lines, each change one.
"""

from __future__ import annotations

import datetime as dt
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any, ParamSpec, Self, TypeVar, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError, connection
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tasks import cursor, hints
from tasks.counts import totals
from tasks.models import Task, TaskEvent, TaskLog
from tasks.states import States

SAFETY_S = 1.0  # the longest time without a look at the log
HOLES_S = 0.1  # while transactions are in flight that may still fill a hole
GAP_S = 0.05  # the least time between two looks: nobody reads faster
RUNNING_SHOWN = 10
OVER = {States.COMPLETED, States.DEAD_LETTERED, States.CANCELED}
STYLES = {
    States.PROCESSING: "blue", States.COMPLETED: "green", States.FAILED: "yellow", States.DEAD_LETTERED: "red",
    States.PAUSED: "magenta", States.CANCELED: "dim",
}  # fmt: skip
Types = TaskEvent.Types
P = ParamSpec("P")
T = TypeVar("T")


class Command(BaseCommand):
    help = "Show what happens, live, until Ctrl-C; one task until it is over, with exit code 1 unless it is completed."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--task", type=uuid.UUID, metavar="ID", help="one task, with its log lines, until it is over")
        what.add_argument("--queue", metavar="Q", help="the tasks of one queue")

    def handle(self, *args: Any, task: uuid.UUID | None, queue: str | None, **options: Any) -> None:
        terminated = signal.signal(signal.SIGTERM, signal.default_int_handler)  # the terminal's cursor is to come back
        console = Console(file=cast(IO[str], self.stdout._out), soft_wrap=True, highlight=False)  # it ends lines itself
        try:
            with Screen(console, queue) as screen:
                ended_as = follow_task(task, screen) if task else follow_all(queue, screen)
        except KeyboardInterrupt:
            sys.exit(130 if task else 0)
        finally:
            signal.signal(signal.SIGTERM, terminated)
        if ended_as != States.COMPLETED:
            sys.exit(1)


def follow_all(queue: str | None, screen: Screen) -> str:
    """Until somebody presses Ctrl-C."""
    head = cursor.head()
    running = Task.objects.processing().order_by("started_at")
    for task in running.filter(queue=queue) if queue else running:
        screen.runs(task)
    for events in news(head):
        for event in events:
            if queue in (None, event.queue):
                screen.tell(event)
        screen.refresh()
    raise AssertionError("the log has no end")


def follow_task(task_id: uuid.UUID, screen: Screen) -> str:
    """Tells its story from the beginning, and returns the status in which it ended."""
    head = cursor.head()
    task = Task.objects.filter(pk=task_id).first()
    if task is None:
        raise CommandError(f"There is no task {task_id}.")
    past = list(TaskEvent.objects.filter(task_id=task_id, version__lte=task.version).order_by("version"))
    if not past:  # it is older than the log
        screen.say(task.updated_at, task.status, task.name, task_id, task.progress_message)
    status, told, line = task.status, 0 if past else task.version, 0
    stories: Iterator[list[cursor.Event]] = chain([list(past)], news(head))
    for events in stories:
        for event in events:
            if event.task_id == task_id and event.version > told:
                screen.tell(event)
                status, told = event.status, event.version
        for row in _asked(_lines, task_id, line) or []:
            screen.say(row.timestamp, row.level, task.name, task_id, row.message)
            line = row.seq
        screen.refresh()
        if status in OVER:
            return status
    raise AssertionError("the log has no end")


def news(position: cursor.Cursor) -> Iterator[list[cursor.Event]]:
    """What was committed after `position`, as it comes, in the log's order; nothing about once a second."""
    with hints.listen() as listener:
        while True:
            page = _asked(cursor.read, position)
            if page is None:  # the database is away, and who knows what it will be when it comes back
                position = _asked(_resumed, position) or position
                yield []
            else:
                position = page.end
                yield [event for event, _ in page.entries]
            if page is None or len(page.entries) < cursor.LIMIT:
                time.sleep(GAP_S)
                listener.wait(HOLES_S if position.holes else SAFETY_S)


def _resumed(position: cursor.Cursor) -> cursor.Cursor:
    """Where to go on; a log that was put in this one's place is read from its end."""
    return position if cursor.holds(position) else cursor.head()


def _lines(task_id: uuid.UUID, seq: int) -> list[TaskLog]:
    return list(TaskLog.objects.filter(task=task_id, seq__gt=seq).order_by("seq"))


def _asked(question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """The database's answer; None while it is away."""
    try:
        return question(*args, **kwargs)
    except (OperationalError, InterfaceError):
        connection.close()
        return None


@dataclass
class Running:
    """A task that runs now, as it is shown below the lines."""

    name: str
    since: dt.datetime
    percent: float | None = None
    message: str = ""


class Screen:
    """Lines, and in a terminal what runs now below them."""

    def __init__(self, console: Console, queue: str | None) -> None:
        self._console, self._queue = console, queue
        self._running: dict[uuid.UUID, Running] = {}
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def runs(self, task: Task) -> None:
        since = task.started_at or task.updated_at
        self._running[task.pk] = Running(task.name, since, task.percent, task.progress_message)

    def tell(self, event: cursor.Event) -> None:
        if event.task_id:
            self._follow(event, event.task_id)
        if event.type != Types.PROGRESS or not self._live:  # there it moves a bar instead
            word = event.status if event.task_id else event.type
            self.say(event.timestamp, word, event.name, event.task_id or event.pipeline_id, _what(event))

    def say(self, at: dt.datetime, word: str, name: str, id: uuid.UUID | None, what: str) -> None:
        text = Text(f"{at.astimezone():%H:%M:%S}  ")
        text.append(f"{word:<14}", STYLES.get(States(word), "") if word in States else "")
        text.append(f"{name}  {id}  {_printable(what)}")
        self._console.print(text)
        if not self._live:
            self._console.file.flush()  # it may be a pipe

    def refresh(self) -> None:
        if self._live:
            self._live.update(Group(self._table(), self._counts()), refresh=True)

    def _follow(self, event: cursor.Event, task_id: uuid.UUID) -> None:
        if event.status != States.PROCESSING:
            self._running.pop(task_id, None)
            return
        running = self._running.setdefault(task_id, Running(event.name, event.timestamp))
        if event.type == Types.PROGRESS:
            running.percent, running.message = event.data["percent"], event.data["message"]

    def _table(self) -> Table:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for task_id, running in list(self._running.items())[:RUNNING_SHOWN]:
            bar = ProgressBar(100, running.percent or 0, width=20)
            seconds = max(0, int((dt.datetime.now(dt.UTC) - running.since).total_seconds()))
            table.add_row(running.name, str(task_id), bar, f"{seconds} s", Text(_printable(running.message)))
        return table

    def _counts(self) -> Text:
        counted = _asked(totals)
        if counted is None:
            return Text("The database is away.", "red")
        more = max(0, len(self._running) - RUNNING_SHOWN)
        text = Text(f"and {more} more that run\n" if more else "")
        for status in States:
            n = sum(n for (queue, of), n in counted.items() if of == status and self._queue in (None, queue))
            text.append(f"{n} {status}  ", STYLES.get(status, "") if n else "dim")
        return text


def _what(event: cursor.Event) -> str:
    """What there is to say beside the status."""
    if event.type == Types.CREATED:
        return f"submitted to {event.queue} by {event.actor}"
    if event.type == Types.PROGRESS:
        percent = event.data["percent"]
        return " ".join([*([] if percent is None else [f"{percent:.0f}%"]), event.data["message"]])
    error = event.data.get("error")
    parts = [
        f"attempt {event.attempt}" if event.status == States.PROCESSING and event.task_id else "",
        event.data.get("step_name", ""),
        f"{error['type']}: {error['detail']}" if error else event.message,
    ]
    return "  ".join(filter(None, parts))


def _printable(text: str) -> str:
    """A handler's words must not steer the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
