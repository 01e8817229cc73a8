"""What a list can be asked. Parameters are checked like bodies: an unknown one is an error, never passed over."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from django.contrib.auth import get_user_model
from django.db.models import Q
from msgspec import Meta
from rest_framework.request import Request

from tasks.database import least_id
from tasks.documents import check_document
from tasks.exceptions import FieldError, InvalidTask
from tasks.models.tasks import TaskQuerySet
from tasks.representation import Status
from tasks.submission import Name, Tag, convert

T = TypeVar("T", bound=msgspec.Struct)

Moment = Annotated[dt.datetime, Meta(tz=True)]
Ordering = Literal["-created_at", "created_at", "-finished_at", "finished_at"]


class Page(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`page_size` is another name for `limit`."""

    cursor: Annotated[str, Meta(max_length=500)] | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = msgspec.field(default=50)
    page_size: Annotated[int, Meta(ge=1, le=200)] | None = None

    @property
    def size(self) -> int:
        return self.page_size or self.limit


class TaskQuery(Page, kw_only=True):
    """Filters combine. `error` is a fingerprint; `q` is looked for in name, tags, error and payload."""

    status: Status | None = None
    queue: Name | None = None
    name: Name | None = None
    tag: Tag | None = None
    owner: Annotated[str, Meta(min_length=1, max_length=150)] | None = None
    pipeline: uuid.UUID | None = None
    q: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    error: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")] | None = None
    ordering: Ordering = "-created_at"


class Rest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The part of a task's own list that comes after the number of the last row that was seen."""

    after: Annotated[int, Meta(ge=0, le=2**31)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 1000


def read(request: Request, struct: type[T]) -> T:
    """The request's parameters as a `struct`. Raises `InvalidTask` naming each that is wrong, unknown or doubled."""
    parameters = request.query_params
    check_document(parameters.dict())
    if twice := [FieldError(name, "Give it once.") for name in parameters if len(parameters.getlist(name)) > 1]:
        raise InvalidTask(*twice)
    kinds = {field.name: str(field.type) for field in msgspec.structs.fields(struct)}
    query = convert({name: _value(str(value), kinds.get(name, "")) for name, value in parameters.items()}, struct)
    if beyond := [FieldError(name, "Give a year from 1970 to 9000.") for name in parameters if _is_beyond(query, name)]:
        raise InvalidTask(*beyond)
    return query


def _value(text: str, kind: str) -> Any:
    """Numbers are written as text here; and `+00:00` that nobody has escaped arrives as a blank."""
    if "int" in kind and text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    return text.replace(" ", "+") if "datetime" in kind else text


def _is_beyond(query: msgspec.Struct, name: str) -> bool:
    """Times so far away that no database can turn them into UTC."""
    value = getattr(query, name)
    return isinstance(value, dt.datetime) and not 1970 <= value.year <= 9000


# -- filters -------------------------------------------------------------------------------------------------------

SLACK = dt.timedelta(hours=1)  # by how much the clock that made an id and that of the database may differ


def filtered(tasks: TaskQuerySet, query: TaskQuery) -> TaskQuerySet:
    """By everything that has an index; `tag` and `q` have none, see `search`."""
    return tasks.filter(*_conditions(query))


def _conditions(query: TaskQuery) -> Iterator[Q]:
    exact = {
        "status": query.status,
        "queue": query.queue,
        "name": query.name,
        "pipeline": query.pipeline,
        "fingerprint": query.error,
    }
    yield Q(**{field: value for field, value in exact.items() if value is not None})
    if query.owner is not None:
        yield Q(owner_id__in=list(get_user_model().objects.filter(username=query.owner).values_list("pk", flat=True)))
    if query.created_after is not None:
        yield Q(created_at__gt=query.created_after, id__gte=least_id(query.created_after - SLACK))
    if query.created_before is not None:
        yield Q(created_at__lt=query.created_before, id__lt=least_id(query.created_before + SLACK))
