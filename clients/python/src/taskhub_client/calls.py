"""Requests, as scripts. Those that can do no harm twice are tried again: questions, and what has an idempotency key."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from taskhub_client import errors
from taskhub_client.effects import Answer, Ask, Rest, Script, Unreachable, backoff, perform
from taskhub_client.types import Pipeline, PipelineType, Task, TaskOptions, TaskStatus

TRIES = 6
LONGEST_RETRY_AFTER_S = 60.0  # whoever is asked to wait longer is told so instead
AGAIN = {429, 502, 503, 504}


# -- tasks ---------------------------------------------------------------------------------------------------------


def submit(
    name: str | None, payload: Mapping[str, Any] | None, idempotency_key: str | None, options: TaskOptions
) -> Script[Task]:
    given = {"name": name, "payload": payload}
    return post("/tasks", _without_none(given) | dict(options), idempotency_key or _new_key())


def submit_many(tasks: Sequence[Mapping[str, Any]], idempotency_key: str | None) -> Script[list[Task]]:
    answer = yield from post("/tasks/bulk", {"tasks": list(tasks)}, idempotency_key or _new_key())
    return answer["tasks"]


def task(id: str) -> Script[Task]:
    return get(_path("tasks", id))


def status(id: str) -> Script[TaskStatus]:
    return get(_path("tasks", id, "status"))


def act(id: str, verb: str) -> Script[Task]:
    return post(_path("tasks", id, verb))


# -- pipelines -----------------------------------------------------------------------------------------------------


def submit_pipeline(
    name: str,
    steps: Sequence[Mapping[str, Any]],
    input: Any,
    pipeline_type: PipelineType | None,
    idempotency_key: str | None,
) -> Script[Pipeline]:
    given = {"name": name, "steps": list(steps), "input": input, "pipeline_type": pipeline_type}
    return post("/pipelines", _without_none(given), idempotency_key or _new_key())


def pipeline(id: str) -> Script[Pipeline]:
    return get(_path("pipelines", id))


def act_on_pipeline(id: str, verb: str) -> Script[Pipeline]:
    return post(_path("pipelines", id, verb))


# -- the log -------------------------------------------------------------------------------------------------------


def head() -> Script[str]:
    """The cursor of the log's end."""
    page = yield from get("/events", since="now", limit=1)
    return page["cursor"]


# -- requests ------------------------------------------------------------------------------------------------------


def get(path: str, **params: Any) -> Script[Any]:
    return _sent(Ask("GET", path, params), TRIES)


def post(path: str, body: Any = None, idempotency_key: str | None = None) -> Script[Any]:
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    return _sent(Ask("POST", path, body=body, headers=headers), TRIES if idempotency_key else 1)


def once(path: str, **params: Any) -> Script[Any]:
    """A question that is asked once, for those who know themselves when to ask again."""
    return _sent(Ask("GET", path, params), 1)


def _sent(request: Ask, tries: int) -> Script[Any]:
    """The decoded answer. Raises an `APIError`, or `Unavailable` when no try has led to an answer."""
    for failures in range(1, tries + 1):
        try:
            answer = yield from perform(request)
            if answer.status < 300:
                return json.loads(answer.body)
            failed = errors.of_answer(answer.status, answer.body, _retry_after(answer))
            if answer.status not in AGAIN or (failed.retry_after or 0) > LONGEST_RETRY_AFTER_S:
                raise failed
        except (Unreachable, ValueError) as failure:  # a portal that answers in the hub's place sends no JSON
            failed = errors.Unavailable(f"No answer of a hub: {failure}")
        if failures < tries:
            yield Rest(max(backoff(failures), failed.retry_after or 0))
    raise failed


def _retry_after(answer: Answer) -> float | None:
    """Seconds. The hub never sends dates."""
    try:
        return max(0.0, float(answer.headers.get("retry-after", "")))
    except ValueError:
        return None


def _path(*parts: str) -> str:
    return "".join("/" + quote(str(part), safe="") for part in parts)


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _new_key() -> str:
    return str(uuid.uuid4())
