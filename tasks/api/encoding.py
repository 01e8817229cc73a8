"""JSON in and out. What comes in is read strictly: what two readers could understand differently is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from tasks.exceptions import FieldError, InvalidTask, TooLarge
from tasks.submission import TASK_LIMIT


class JSONRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None  # JSON is UTF-8, and has no parameter to say so

    def render(self, data: Any, accepted_media_type: str | None = None, context: Mapping | None = None) -> bytes:
        return b"" if data is None else msgspec.json.encode(data)


class AlwaysJSON(BaseContentNegotiation):
    """We speak one format, and answer in it whatever `Accept` says: RFC 9110 prefers that to a 406."""

    def select_parser(self, request, parsers):
        return next((parser for parser in parsers if _media_type(request.content_type) == parser.media_type), None)

    def select_renderer(self, request, renderers, format_suffix=None):
        return renderers[0], renderers[0].media_type


class JSONParser(BaseParser):
    """Reads no more than the view's `body_limit`, in bytes."""

    media_type = "application/json"

    def parse(self, stream, media_type: str | None = None, parser_context: Mapping | None = None) -> Any:
        limit = parser_context["view"].body_limit if parser_context else TASK_LIMIT
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise TooLarge(FieldError("", f"The body is larger than {limit // 1024} KiB."))
        return decode(body)


def decode(body: bytes) -> Any:
    """The value that `body` stands for. Raises `ParseError` for what is no JSON, `InvalidTask` for duplicate keys."""
    try:
        return json.loads(body.decode(), object_pairs_hook=_without_duplicates, parse_constant=_refuse)
    except UnicodeDecodeError:
        raise ParseError("The body is not UTF-8.") from None
    except RecursionError:
        raise ParseError("The body is nested too deeply.") from None
    except ValueError as error:
        raise ParseError(f"The body is not JSON: {error}.") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InvalidTask(FieldError(twice, "This key comes twice in one object."))
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
