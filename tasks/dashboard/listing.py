"""Which tasks the list shows: the API's own filters and pages, over what the reader may see."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass

import msgspec
from django.http import HttpRequest

from tasks.access import Principal
from tasks.api.pages import Cut, cut, link, position_of
from tasks.api.queries import TaskQuery, filtered
from tasks.api.search import WINDOW, search
from tasks.documents import check_document
from tasks.models import Task
from tasks.submission import convert

ROWS = 100  # of the page; an open page may ask for so many that it shows and as many new ones
FILTERS = ("status", "queue", "name", "tag", "owner", "error", "q")
LARGE = ("result", "state", "callback_headers")  # columns that no row shows


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of the list. `looked_at` is how many tasks a search went through when it has not seen them all."""

    query: TaskQuery
    tasks: list[Task]
    newer: str | None
    older: str | None
    looked_at: int | None

    @property
    def filters(self) -> dict[str, str]:
        return {name: value for name in FILTERS if (value := getattr(self.query, name))}


def query_of(request: HttpRequest) -> TaskQuery:
    """What the address asks for. Raises `InvalidTask` naming what makes no sense; passes over what it does not know."""
    given = {name: value for name in (*FILTERS, "cursor") if (value := request.GET.get(name))}
    check_document(given)
    query: TaskQuery = convert({**given, "limit": ROWS}, TaskQuery)
    return query


def listing(request: HttpRequest, reader: Principal) -> Listing:
    query = query_of(request)
    page, complete = _find(reader, query)
    looked_at = None if complete else WINDOW
    newer, older = (link(request, position) for position in (page.previous, page.next))
    return Listing(query, page.rows, newer, older, looked_at)


def rows(request: HttpRequest, reader: Principal, ids: Collection[uuid.UUID]) -> list[Task]:
    """Those of `ids` that the list would show, the newest first."""
    query = msgspec.structs.replace(query_of(request), cursor=None, limit=2 * ROWS)
    return _find(reader, query, ids)[0].rows


def _find(reader: Principal, query: TaskQuery, ids: Collection[uuid.UUID] | None = None) -> tuple[Cut, bool]:
    tasks = filtered(reader.visible(Task.objects.all()), query).select_related("worker").defer(*LARGE)
    position = position_of(query.cursor, query.ordering)
    if ids is not None:
        tasks = tasks.filter(pk__in=ids)
    if query.q and (id := _as_id(query.q)):
        return cut(tasks.filter(pk=id), position, query.size), True
    if query.q or query.tag:
        return search(tasks, query, position)
    return cut(tasks.defer(*LARGE, "payload"), position, query.size), True


def _as_id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text.strip())
    except ValueError:
        return None
