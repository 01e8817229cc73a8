"""A request that comes twice is done once (draft-ietf-httpapi-idempotency-key-header)."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import Model

from tasks.database import database_now, transactional
from tasks.exceptions import FieldError, InvalidTask, KeyReused
from tasks.models import IdempotencyKey, Task

KEY_LIMIT = 255  # characters

M = TypeVar("M", bound=Model)


@transactional
def once(
    principal: str,
    route: str,
    key: str,
    request: Any,
    create: Callable[[], list[M]],
    kind: type[M] = Task,  # type: ignore[assignment]
) -> tuple[list[M], bool]:
    """The rows of the first request with `key`, and whether that is this one. Rows and key commit together.

    A request that comes while the first is still being stored waits for it: on PostgreSQL at the unique constraint,
    on SQLite at the database's one write lock. Raises `KeyReused` when `request` is another than the first, and
    `InvalidTask` for a key that nobody could send.
    """
    if not (1 <= len(key) <= KEY_LIMIT and key.isprintable()):
        raise InvalidTask(FieldError("idempotency_key", f"A key has 1 to {KEY_LIMIT} printable characters."))
    digest = fingerprint(request)
    mine = {"principal": principal, "route": route, "key": key}
    IdempotencyKey.objects.filter(**mine, created_at__lt=database_now() - IdempotencyKey.KEPT).delete()
    row, first = IdempotencyKey.objects.select_for_update().get_or_create(
        **mine, defaults={"fingerprint": digest, "created_at": database_now()}
    )
    if first:
        created = create()
        row.task_ids = [str(task.pk) for task in created]
        row.save(update_fields=["task_ids"])
        return created, True
    if row.fingerprint != digest:
        raise KeyReused("This idempotency key came with another request before.")
    found = kind._default_manager.in_bulk(row.task_ids)
    return [found[pk] for pk in map(uuid.UUID, row.task_ids) if pk in found], False


def fingerprint(request: Any) -> str:
    """The SHA-256 of `request` in canonical JSON."""
    canonical = json.dumps(request, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode(errors="surrogatepass")).hexdigest()
