"""The OpenAPI document. Its types are those that the code runs on: what is checked is what is written there.

A view's method is documented by `@operation`; bodies and parameters are msgspec structs, answers the typed dicts of
`tasks.representation` and of the views.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from tasks.api import examples
from tasks.api.problems import CONTENT_TYPE, Problem

REFERENCE = "#/components/schemas/"
JSON = "application/json"

_shapes: dict[str, Any] = {"Problem": Problem}

ALWAYS = {
    401: "No credential, or one that is no good.",
    403: "The permission or the token's scope is missing.",
    429: "Too many requests, or too many tasks waiting; `Retry-After` says when to come again.",
    503: "The database is away; `Retry-After` says when to come again.",
}
MEANINGS = {
    400: "The request is invalid; `errors` names each field.",
    404: "There is no such thing, or none that the caller may see.",
    409: "The state does not allow it.",
    413: "The body is too large.",
    415: "The body is not sent as application/json.",
    422: "The Idempotency-Key came with another body before.",
}
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[!-~]+$"},
    OpenApiParameter.HEADER,
    description="The same key and body within 24 hours are answered with what the first request made.",
)


def operation(
    summary: str,
    answers: Mapping[int, Any],
    *,
    tag: str,
    body: type | None = None,
    query: type | None = None,
    errors: tuple[int, ...] = (),
    headers: tuple[OpenApiParameter, ...] = (),
    is_open: bool = False,
    id: str | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Document a view's method. `answers` is {status: shape, None for no body, or a media type}."""
    refused = (*(() if is_open else ALWAYS), *errors, *((400,) if body or query else ()))
    return extend_schema(
        operation_id=id,
        summary=summary,
        description=inspect.getdoc(body or query) or f"{summary}.",
        tags=[tag],
        request={JSON: _schema(body)} if body else None,
        examples=[_example(body, request_only=True)] if body else [],
        parameters=[*_parameters(query), *headers],
        responses=dict(_answer(status, shape) for status, shape in answers.items())
        | {(status, CONTENT_TYPE): _problem(status) for status in sorted(set(refused))},
        auth=[] if is_open else None,
    )


def _schema(shape: Any) -> dict[str, Any]:
    name = _name(shape)
    _shapes[name] = shape
    return {"$ref": REFERENCE + name}


def _name(shape: Any) -> str:
    return shape.__name__.removesuffix("JSON")


def _answer(status: int, shape: Any) -> tuple[Any, OpenApiResponse]:
    if shape is None:
        return status, OpenApiResponse(description="Done; there is nothing to say.")
    if isinstance(shape, str):
        return (status, shape), OpenApiResponse({"type": "string"}, "Text.")
    return (status, JSON), OpenApiResponse(_schema(shape), _first_line(shape), [_example(shape)])


def _problem(status: int) -> OpenApiResponse:
    return OpenApiResponse(_schema(Problem), (ALWAYS | MEANINGS)[status], [_example(Problem)])


def _example(shape: Any, **options: Any) -> OpenApiExample:
    return OpenApiExample("Example", value=examples.of(_name(shape)), **options)


def _first_line(shape: Any) -> str:
    return (shape.__doc__ or "").strip().partition("\n")[0]


def _parameters(query: type | None) -> list[OpenApiParameter]:
    """A struct's fields as parameters, each with its default and limits."""
    if query is None:
        return []
    _, components = msgspec.json.schema_components([query], ref_template=REFERENCE + "{name}")
    properties = components[query.__name__]["properties"]
    return [
        OpenApiParameter(name, _without_null(schema), OpenApiParameter.QUERY) for name, schema in properties.items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that isn't given is left out: there is no null in an address."""
    options = [option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]
    return {key: value for key, value in (options[0] | {"default": schema.get("default")}).items() if value is not None}


def add_components(result: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """drf-spectacular's hook at the end: the components that the operations refer to."""
    _, found = msgspec.json.schema_components(_shapes.values(), ref_template=REFERENCE + "{name}")
    # The typed dicts are called TaskJSON and so on, to tell them from the models.
    renamed = json.loads(json.dumps(found).replace('JSON"', '"'))
    result["components"]["schemas"] = dict(sorted((result["components"].get("schemas", {}) | renamed).items()))
    # Python's end of a text in a pattern, \\Z, is $ where it is not a line's.
    return json.loads(json.dumps(result).replace(r"\\Z", "$"))
