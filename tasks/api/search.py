"""Looking for what has no index, at a bounded cost: each page looks at `WINDOW` tasks and says so.

A page may so hold few tasks or none, and still have a `next`, which goes on where this one stopped: nothing is lost.
What is compared is what the caller may read: a masked secret cannot be guessed by searching for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from tasks.api.pages import Cut, Position, cut_of
from tasks.api.queries import TaskQuery
from tasks.masking import mask
from tasks.models import Task
from tasks.models.tasks import TaskQuerySet

WINDOW = 5_000  # tasks


def search(tasks: TaskQuerySet, query: TaskQuery, position: Position) -> tuple[Cut, bool]:
    """The page of those that match `q` and `tag`, and whether all tasks have been looked at."""
    near = position.beyond(tasks)
    edge = near.values_list(*position.columns)[WINDOW - 1 : WINDOW].first()
    window = position.up_to(near, edge) if edge else near
    found = list(islice(_matching(window, query), query.size + 1))
    cut = cut_of(found[: query.size], position, more=len(found) > query.size)
    if len(found) > query.size or edge is None:
        return cut, edge is None
    return _going_on_at(edge, cut, position), False


def _going_on_at(edge: tuple[Any, ...], cut: Cut, position: Position) -> Cut:
    further = position.at(position.direction, edge)
    return Cut(cut.rows, further, cut.previous) if position.direction == "next" else Cut(cut.rows, cut.next, further)


def _matching(tasks: QuerySet[Task], query: TaskQuery) -> Iterator[Task]:
    """The database finds candidates in its text of the JSON; Python decides."""
    conditions = [*_candidates(query)]
    texts = {f"{column}_text": Cast(column, TextField()) for column in ("tags", "error", "payload")}
    for task in tasks.alias(**texts).filter(*conditions).iterator(chunk_size=query.size + 1):
        if _matches(task, query):
            yield task


def _candidates(query: TaskQuery) -> Iterator[Q]:
    if query.tag is not None:
        yield Q(tags_text__contains=f'"{_in_json(query.tag)}"')
    if query.q is not None:
        in_json = [Q(**{f"{column}_text__icontains": _in_json(query.q)}) for column in ("tags", "error", "payload")]
        yield Q(name__icontains=query.q) | in_json[0] | in_json[1] | in_json[2]


def _matches(task: Task, query: TaskQuery) -> bool:
    if query.tag is not None and query.tag not in task.tags:
        return False
    return query.q is None or query.q.casefold() in _readable(task).casefold()


def _readable(task: Task) -> str:
    return "\n".join((task.name, *task.tags, *_texts(task.error), *_texts(mask(task.payload))))


def _texts(value: Any) -> Iterator[str]:
    """All keys and values in a JSON value, as text."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif value is not None:
        yield value if isinstance(value, str) else json.dumps(value)


def _in_json(text: str) -> str:
    """As the database has it inside of a JSON string: SQLite keeps what Python wrote, PostgreSQL what it understood."""
    return json.dumps(text, ensure_ascii=connection.vendor == "sqlite")[1:-1]
