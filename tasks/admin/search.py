"""Finding rows by what is written in them. By id it is a look-up; by text it reads the newest rows and no others."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import islice
from operator import or_
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Model, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils.text import smart_split, unescape_string_literal

from tasks.masking import mask, mask_url
from tasks.models import Task, TaskEvent

M = TypeVar("M", bound=Model)

READ = 20_000  # rows that a search for text reads
HITS = 1_000  # tasks that it finds
TASK_COLUMNS = ("name", "tags", "error", "payload", "callback_url")
EVENT_COLUMNS = ("name", "queue", "actor", "message")


def search_tasks(tasks: QuerySet[Task], text: str) -> QuerySet[Task]:
    """The task of that id; else those of the newest that have every word where the reader may read it.

    The database finds candidates, Python decides on what is shown: a masked secret cannot be guessed by searching.
    """
    if task_id := as_uuid(text):
        return tasks.filter(pk=task_id)
    words = [*_words(text)]
    candidates = _holding(newest(tasks, READ), words, ("id", *TASK_COLUMNS))
    candidates = candidates.select_related(None).only("pk", *TASK_COLUMNS)
    hits = (task.pk for task in candidates.iterator(chunk_size=200) if _shows(task, words))
    return tasks.filter(pk__in=list(islice(hits, HITS)))


def search_events(events: QuerySet[TaskEvent], text: str) -> QuerySet[TaskEvent]:
    """The history of the task of that id; else those of the newest that have every word."""
    if task_id := as_uuid(text):
        return events.filter(task_id=task_id)
    return _holding(newest(events, READ), _words(text), EVENT_COLUMNS)


def as_uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text.strip())
    except ValueError:
        return None


def newest(rows: QuerySet[M], limit: int) -> QuerySet[M]:
    """The `limit` rows with the highest ids. The cut is looked up first, so that the index bounds the rest."""
    cut = rows.order_by("-pk").values_list("pk", flat=True)[limit : limit + 1].first()
    return rows.filter(pk__gt=cut) if cut is not None else rows


def _words(text: str) -> Iterator[str]:
    """Split at white space; "in quotes" is one word."""
    for word in smart_split(text):
        quoted = word[0] in "\"'" and word[0] == word[-1] and len(word) > 1
        yield unescape_string_literal(word) if quoted else word


def _holding(rows: QuerySet[M], words: Iterable[str], columns: Iterable[str]) -> QuerySet[M]:
    """Those that have every word in one of the columns, as far as the database can tell."""
    texts = {f"{column}_text": column for column in columns}
    rows = rows.alias(**{name: Cast(column, TextField()) for name, column in texts.items()})
    for word in words:
        spellings = {word, _in_json(word)}
        rows = rows.filter(reduce(or_, (Q(**{f"{name}__icontains": s}) for name in texts for s in spellings)))
    return rows


def _in_json(word: str) -> str:
    """As the database has it inside of a JSON string: SQLite keeps what Python wrote, PostgreSQL what it understood."""
    return json.dumps(word, ensure_ascii=connection.vendor == "sqlite")[1:-1]


def _shows(task: Task, words: Iterable[str]) -> bool:
    ids, shown = [str(task.pk), task.pk.hex], [mask_url(task.callback_url), mask(task.payload)]
    text = "\n".join(_texts([*ids, task.name, task.tags, task.error, *shown])).casefold()
    return all(word.casefold() in text for word in words)


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
