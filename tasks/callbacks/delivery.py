"""Between a task and its HTTP callback: what is sent for the task, and what the answer means for it."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from typing import Any

import msgspec
from django.conf import settings

from tasks import errors
from tasks.callbacks.request import Answer, Callback, Verdict
from tasks.changes import Outcome
from tasks.masking import SHORTEST, secrets_in, without
from tasks.models import CallbackSecret, Task
from tasks.states import Actions

DEFERRED_TIMEOUT = 3600.0  # seconds, unless the task set its own

ENDS = {Verdict.COMPLETED: Actions.COMPLETE, Verdict.GONE: Actions.BURY, Verdict.FAILED: Actions.FAIL}


def callback_for(task: Task) -> Callback:
    """The request of the task's present attempt. Asks the database whether the owner has a secret."""
    own = CallbackSecret.objects.filter(user__tasks=task).values_list("secret", flat=True).first()
    return Callback(
        task_id=str(task.pk),
        url=task.callback_url,
        method=task.callback_method,
        headers=task.callback_headers,
        payload=task.payload,
        secrets=(own or settings.TASKHUB_CALLBACK_SECRET).split(),
        attempt=task.attempt,
        attempt_token=attempt_token(task.pk, task.present_lease),
        task_url=f"{settings.TASKHUB_BASE_URL}/api/v1/tasks/{task.pk}",
        timeout=task.timeout,
    )


def attempt_token(task_id: uuid.UUID, lease: uuid.UUID) -> str:
    """What the receiver proves with that it speaks of this attempt.

    It is derived from the lease and the hub's key, so nothing that is stored can be used in its place.
    """
    return hmac.digest(_key(), f"{task_id}:{lease}".encode(), "sha256").hex()


def is_token_of(token: str, task_id: uuid.UUID, lease: uuid.UUID | None) -> bool:
    return lease is not None and hmac.compare_digest(token.encode(), attempt_token(task_id, lease).encode())


def outcome_of(task: Task, answer: Answer) -> Outcome:
    """How the attempt ended. A deferred answer is no end and has no outcome."""
    described, secrets = None, secrets_of(task)
    if answer.error:
        described = without(errors.describe(task.name, answer.error["type"], answer.error["detail"]), secrets)
    return Outcome(
        task.pk,
        task.present_lease,
        ENDS[answer.outcome],
        result=answer.result,
        result_size=len(msgspec.json.encode(answer.result)),
        error=described,
        delay=answer.retry_after or 0,
        elapsed=answer.elapsed,
        response=without(response_of(answer), secrets),
    )


def secrets_of(task: Task) -> list[str]:
    """What a receiver that quotes the request must not show: secrets of the payload, and all headers of the task's."""
    headers = [value for value in task.callback_headers.values() if len(value) >= SHORTEST]
    return sorted([*secrets_in(task.payload), *headers], key=len, reverse=True)


def response_of(answer: Answer) -> dict[str, Any] | None:
    """What the attempt keeps of the answer, None when there was none."""
    if answer.status is None:
        return None
    return {
        "status": answer.status,
        "headers": answer.headers,
        "body": answer.body,
        "truncated": answer.truncated,
    }


def deferral(task: Task) -> float:
    """How many seconds after its start a deferred attempt has to have ended."""
    return task.timeout if task.timeout_is_own else max(task.timeout, DEFERRED_TIMEOUT)


def _key() -> bytes:
    return hashlib.sha256(b"attempt-token:" + settings.SECRET_KEY.encode()).digest()
