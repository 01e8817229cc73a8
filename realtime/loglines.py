"""The frames `task_log`: what a handler logs, to those who follow this one task. They are not replayed."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator

from django.db.models import Q

from realtime.connection import Connection
from realtime.database import in_database
from realtime.messages import TaskLog as Frame
from realtime.messages import encode_at
from realtime.ring import Entry
from realtime.subscriptions import Subscription
from tasks.models import TaskLog

GAP_S = 0.1
TASKS = 100  # a query
LINES = 1000

Followers = defaultdict[str, list[tuple[Connection, Subscription]]]


class LogLines:
    def __init__(self, connections: Collection[Connection]) -> None:
        self._connections = connections
        self._looked = asyncio.Event()

    def after_read(self, _: list[Entry]) -> None:
        """Lines come without an event, but with a hint: whenever the feed looks, they are worth a look too."""
        self._looked.set()

    async def run(self) -> None:
        while True:
            await self._looked.wait()
            self._looked.clear()
            if followers := self._followers():
                await self._tell(followers)
            await asyncio.sleep(GAP_S)

    def _followers(self) -> Followers:
        followers: Followers = defaultdict(list)
        for connection in self._connections:
            for subscription in connection.subscriptions.values():
                if subscription.is_single and subscription.takes("task_log") and subscription.key.name == "task_id":
                    followers[subscription.key.value].append((connection, subscription))
        return followers

    async def _tell(self, followers: Followers) -> None:
        after = {task: min(subscription.log_seq for _, subscription in them) for task, them in followers.items()}
        lines = await in_database(_lines, after)
        for line in lines:
            task = str(line.task_id)
            frame = encode_at(line.timestamp, Frame, task_id=task, seq=line.seq, level=line.level, message=line.message)
            for connection, subscription in followers[task]:
                if line.seq > subscription.log_seq:
                    subscription.log_seq = line.seq
                    connection.tell_if_fast(frame)
        if len(lines) >= LINES:
            self._looked.set()


def _lines(after: dict[str, int]) -> list[TaskLog]:
    """What each task logged after the line with that number."""
    return [line for some in _chunks(list(after.items())) for line in _of_tasks(some)]


def _of_tasks(after: list[tuple[str, int]]) -> Iterator[TaskLog]:
    wanted = Q(*(Q(task_id=task, seq__gt=seq) for task, seq in after), _connector=Q.OR)
    yield from TaskLog.objects.filter(wanted).order_by("task_id", "seq")[:LINES]


def _chunks(items: list[tuple[str, int]]) -> Iterator[list[tuple[str, int]]]:
    for first in range(0, len(items), TASKS):
        yield items[first : first + TASKS]
