"""Pages of a list by position, never by offset: each costs the same, and new rows shift nothing.

A page begins after a row, which its cursor names by the values that the list is ordered by, the id always among them.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from django.core.signing import BadSignature, Signer
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from tasks.exceptions import FieldError, InvalidTask

M = TypeVar("M", bound=Model)
Direction = Literal["next", "previous"]

ORDERINGS: dict[str, tuple[str, ...]] = {  # by indexed columns only; ids are in the order of creation
    "created_at": ("id",),
    "-created_at": ("-id",),
    "finished_at": ("finished_at", "id"),
    "-finished_at": ("-finished_at", "-id"),
}


@dataclass(frozen=True, slots=True)
class Position:
    """The row after which a page begins, or with `previous` before which it ends; `values` is None at the start."""

    ordering: str
    direction: Direction = "next"
    values: tuple[Any, ...] | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """What to order by, in the direction in which we go."""
        fields = ORDERINGS[self.ordering]
        return fields if self.direction == "next" else tuple(_opposite(field) for field in fields)

    @property
    def columns(self) -> list[str]:
        return [field.lstrip("-") for field in self.fields]

    def at(self, direction: Direction, values: tuple[Any, ...]) -> Position:
        return Position(self.ordering, direction, values)

    def beyond(self, rows: QuerySet[M]) -> QuerySet[M]:
        """Those that come after this position, in order."""
        if "finished_at" in self.columns:
            rows = rows.filter(finished_at__isnull=False)
        rows = rows.order_by(*self.fields)
        return rows if self.values is None else rows.filter(*_past(self.fields, self.values))

    def up_to(self, rows: QuerySet[M], last: tuple[Any, ...]) -> QuerySet[M]:
        """Without those that come after the row whose values are `last`."""
        return rows.filter(*_past(tuple(_opposite(field) for field in self.fields), last, inclusive=True))


def _past(fields: tuple[str, ...], values: tuple[Any, ...], *, inclusive: bool = False) -> list[Q]:
    """The rows on the far side of `values`, one or two of them, when rows are ordered by `fields`."""
    *first, last = [(field.lstrip("-"), "lt" if field.startswith("-") else "gt") for field in fields]
    tie = Q(**{f"{last[0]}__{last[1]}{'e' * inclusive}": values[-1]})
    if not first:
        return [tie]
    ((name, sign),) = first
    # The first condition is for the index, which cannot do with an OR.
    return [Q(**{f"{name}__{sign}e": values[0]}), Q(**{f"{name}__{sign}": values[0]}) | tie]


def _opposite(field: str) -> str:
    return field.removeprefix("-") if field.startswith("-") else f"-{field}"


# -- a page --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cut(Generic[M]):
    """The rows of one page, and where its neighbours begin; None when there is no such page."""

    rows: list[M]
    next: Position | None
    previous: Position | None


def cut(rows: QuerySet[M], position: Position, size: int) -> Cut[M]:
    found = list(position.beyond(rows)[: size + 1])
    return cut_of(found[:size], position, more=len(found) > size)


def cut_of(rows: list[M], position: Position, *, more: bool) -> Cut[M]:
    """The page of `rows`, which come in the direction of `position`; `more` says whether others follow in it."""
    ahead = position.at(position.direction, _key(rows[-1], position)) if more and rows else None
    back: Direction = "previous" if position.direction == "next" else "next"
    behind = position.at(back, _key(rows[0], position)) if position.values and rows else None
    if position.direction == "next":
        return Cut(rows, ahead, behind)
    return Cut(rows[::-1], behind, ahead)


def _key(row: Model, position: Position) -> tuple[Any, ...]:
    return tuple(getattr(row, column) for column in position.columns)


# -- cursors -------------------------------------------------------------------------------------------------------

_signer = Signer(salt="tasks.api.pages")  # so that what comes back is what we made


def position_of(cursor: str | None, ordering: str) -> Position:
    """Where the request wants to begin. Raises `InvalidTask` for a cursor of another list, or of no list."""
    if cursor is None:
        return Position(ordering)
    try:
        of, direction, values = _signer.unsign_object(cursor)
    except BadSignature:
        of = None
    if of != ordering:
        raise InvalidTask(FieldError("cursor", "This is no cursor of this list; begin again without one."))
    return Position(ordering, direction, tuple(values))


def link(request: HttpRequest | Request, position: Position | None) -> str | None:
    """The address of the page at `position`, with all the other parameters of this one."""
    if position is None:
        return None
    values = [value.isoformat() if isinstance(value, dt.datetime) else str(value) for value in position.values or ()]
    cursor = _signer.sign_object((position.ordering, position.direction, values))
    return replace_query_param(request.build_absolute_uri(), "cursor", cursor)
