"""From what somebody asks for to a task that can run: the one check that REST, Python and pipelines share.

A request that passes can run: its handler exists, its payload binds, its numbers make sense. One that doesn't raises
`InvalidTask` naming every field, and nothing is stored.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any

import msgspec
from django.conf import settings
from msgspec import Meta

from tasks import lifecycle, registry
from tasks.callbacks import guard
from tasks.database import database_now
from tasks.documents import check_document
from tasks.exceptions import FieldError, InvalidTask, TooLarge
from tasks.idempotency import once
from tasks.models import Task
from tasks.models.tasks import CALLBACK
from tasks.registry import Handler

TASK_LIMIT = 256 * 1024  # bytes of JSON
BULK_LIMIT = 1000  # tasks
CALLBACK_TIMEOUT = 30.0
CALLBACK_ATTEMPTS = 10

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,100}\Z")]
Tag = Annotated[str, Meta(min_length=1, max_length=64)]
Seconds = Annotated[float, Meta(ge=0, le=10 * 365 * 86_400)]
Method = Annotated[str, Meta(pattern=r"^(POST|PUT|PATCH)\Z")]


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When failed attempts are tried again; the formula is in `tasks.retry`."""

    delay: Seconds = 5
    factor: Annotated[float, Meta(ge=1, le=100)] = 2
    max_delay: Seconds = 3600
    jitter: Annotated[float, Meta(ge=0, le=1)] = 0.5


class NewTask(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A request for a task, as it is written in JSON: the API's schema is made from it."""

    name: Name | None = None
    callback_url: Annotated[str, Meta(min_length=1, max_length=2048)] | None = None
    payload: dict[str, Any] = {}
    queue: Name | None = None
    priority: Annotated[int, Meta(ge=-100, le=100)] = 0
    max_attempts: Annotated[int, Meta(ge=1, le=registry.ATTEMPTS_LIMIT)] | None = None
    retry: Retry = Retry()
    timeout: Annotated[float, Meta(gt=0, le=registry.TIMEOUT_LIMIT)] | None = None
    run_at: Annotated[dt.datetime, Meta(tz=True)] | None = None
    delay: Seconds | None = None
    tags: Annotated[list[Tag], Meta(max_length=20)] = []
    callback_method: Method = "POST"
    callback_headers: dict[str, str] = {}


def submit(
    name: str | None = None,
    payload: Mapping[str, Any] | None = None,
    *,
    owner: Any = None,
    idempotency_key: str | None = None,
    **options: Any,
) -> Task:
    """Submit one task from Python. `options` are the other fields of the REST body (`queue`, `priority`, `delay` ...).

    Inside `transaction.atomic()` it commits or rolls back with it. The same `idempotency_key` within 24 hours returns
    the first task. Raises `InvalidTask`, `KeyReused` for a key that came with another request, and `BacklogFull` when
    the owner has too many tasks waiting.
    """
    request = {"name": name, "payload": dict(payload or {}), **options}
    request = {field: plain(field, value) for field, value in request.items() if value is not None}

    def create() -> list[Task]:
        return create_all([build(request, owner)], actor=str(owner or "python"))

    if idempotency_key is None:
        return create()[0]
    return once("python", "submit", idempotency_key, request, create)[0][0]


def create_all(tasks: list[Task], actor: str) -> list[Task]:
    """Store what `build` made, all or none. Raises `BacklogFull`."""
    lifecycle.create(tasks, actor, is_limited=True)
    return tasks


def build(request: Any, owner: Any = None, fits: Callable[[Handler, dict[str, Any]], Any] = Handler.bind) -> Task:
    """The unsaved task that `request`, decoded JSON, asks for. Raises `InvalidTask` naming every wrong field.

    `fits` holds the payload against the handler; a step's may have places in it that only results will fill.
    """
    check_document(request)
    if len(msgspec.json.encode(request)) > TASK_LIMIT:
        raise TooLarge(FieldError("payload", f"The task is larger than {TASK_LIMIT // 1024} KiB."))
    new = convert(request, NewTask)
    errors = [*_contradictions(new)]
    if errors:
        raise InvalidTask(*errors)
    return _callback_task(new, owner) if new.callback_url else _handler_task(new, owner, fits)


def build_many(requests: Iterable[Any], owner: Any = None) -> list[Task]:
    """As `build`, for a list; errors are named `tasks[3].payload`."""
    tasks, errors = [], []
    for index, request in enumerate(requests):
        try:
            tasks.append(build(request, owner))
        except InvalidTask as invalid:
            errors += [error.under(f"tasks[{index}]") for error in invalid.errors]
    if errors:
        raise InvalidTask(*errors)
    return tasks


def convert(request: Any, struct: type[msgspec.Struct]) -> Any:
    """`request` as a `struct`. msgspec stops at the first error; we go on field by field, to name them all."""
    try:
        return msgspec.convert(request, struct)
    except msgspec.ValidationError as error:
        if not isinstance(request, Mapping):
            raise InvalidTask(FieldError("", f"{error}.")) from None
        raise InvalidTask(*_field_errors(request, struct)) from None


def _field_errors(request: Mapping[str, Any], struct: type[msgspec.Struct]) -> Iterator[FieldError]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for name in request.keys() - fields.keys():
        yield FieldError(name, "There is no such field.")
    for name, field in fields.items():
        if name not in request:
            if field.required:
                yield FieldError(name, "This field is required.")
            continue
        try:
            msgspec.convert(request[name], field.type)
        except msgspec.ValidationError as error:
            message, _, path = str(error).partition(" - at `$")
            yield FieldError(name + path.rstrip("`"), f"{message}.")


def _contradictions(new: NewTask) -> Iterator[FieldError]:
    if new.name is None and new.callback_url is None:
        yield FieldError("name", "Give the name of a handler, or a callback_url.")
    if new.name is not None and new.callback_url is not None:
        yield FieldError("callback_url", "Give either a name or a callback_url, not both.")
    if new.run_at is not None and new.delay is not None:
        yield FieldError("delay", "Give either run_at or delay, not both.")
    if new.callback_headers and new.callback_url is None:
        yield FieldError("callback_headers", "Only a task with a callback_url sends headers.")


def _handler_task(new: NewTask, owner: Any, fits: Callable[[Handler, dict[str, Any]], Any]) -> Task:
    handler = registry.find(new.name or "")
    fits(handler, new.payload)
    return _task(new, owner, handler.name, handler.queue, handler.max_attempts, handler.timeout)


def _callback_task(new: NewTask, owner: Any) -> Task:
    if errors := [*_callback_errors(new)]:
        raise InvalidTask(*errors)
    task = _task(new, owner, CALLBACK, "default", CALLBACK_ATTEMPTS, CALLBACK_TIMEOUT)
    task.callback_url = new.callback_url or ""
    task.callback_method = new.callback_method
    task.callback_headers = new.callback_headers
    task.timeout_is_own = new.timeout is not None
    return task


def _callback_errors(new: NewTask) -> Iterator[FieldError]:
    try:
        callback_policy().check_url(new.callback_url or "")
    except guard.InvalidUrl as error:
        yield FieldError("callback_url", str(error))
    try:
        guard.check_headers(new.callback_headers)
    except guard.InvalidHeaders as error:
        yield FieldError("callback_headers", str(error))


@functools.cache
def callback_policy() -> guard.AddressPolicy:
    """Which addresses callbacks may reach, by `TASKHUB_CALLBACK_ALLOW`."""
    return guard.AddressPolicy.parse(settings.TASKHUB_CALLBACK_ALLOW)


def _task(new: NewTask, owner: Any, name: str, queue: str, max_attempts: int, timeout: float) -> Task:
    return Task(
        name=name,
        owner=owner,
        payload=new.payload,
        queue=new.queue or queue,
        priority=new.priority,
        max_attempts=new.max_attempts or max_attempts,
        timeout=new.timeout or timeout,
        run_at=_run_at(new),  # type: ignore[misc]  # None becomes now when it is stored
        tags=new.tags,
        retry_delay=new.retry.delay,
        retry_factor=new.retry.factor,
        retry_max_delay=new.retry.max_delay,
        retry_jitter=new.retry.jitter,
    )


def _run_at(new: NewTask) -> dt.datetime | None:
    """None is now."""
    if new.run_at is None:
        return database_now() + dt.timedelta(seconds=new.delay) if new.delay else None
    try:
        return new.run_at.astimezone(dt.UTC)
    except OverflowError:
        raise InvalidTask(FieldError("run_at", "The time lies outside the years 1 to 9999 of UTC.")) from None


def plain(field: str, value: Any) -> Any:
    """A Python value as JSON would carry it."""
    try:
        return msgspec.to_builtins(value)
    except (TypeError, OverflowError, RecursionError) as error:
        raise InvalidTask(FieldError(field, f"{error}.")) from None
