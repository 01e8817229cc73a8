"""JSON as we store it: what both databases and every client can carry. Pure."""

from __future__ import annotations

import math
from typing import Any

from tasks.exceptions import FieldError, InvalidTask

DEPTH_LIMIT = 100
SMALLEST_INTEGER, LARGEST_INTEGER = -(2**63), 2**64 - 1


def check_document(value: Any, path: str = "", depth: int = 0) -> None:
    """Raise `InvalidTask` naming the place of the first thing in `value` that is no JSON of ours.

    Refused: NUL, lone surrogates, numbers that are not finite or need more than 64 bits, nesting over 100 levels,
    and any type that JSON does not have.
    """
    if depth > DEPTH_LIMIT:
        raise _invalid(path, f"is nested more than {DEPTH_LIMIT} levels deep")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise _invalid(path, f"has a key that is no string: {key!r}")
            _check_text(key, path)
            check_document(item, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            check_document(item, f"{path}[{index}]", depth + 1)
    else:
        _check_scalar(value, path)


def _check_scalar(value: Any, path: str) -> None:
    if isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _invalid(path, "is a number that is not finite")
    elif isinstance(value, int):
        if not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
            raise _invalid(path, "is an integer of more than 64 bits")
    elif value is not None:
        raise _invalid(path, f"is a {type(value).__name__}, which JSON does not have")


def _check_text(text: str, path: str) -> None:
    if "\0" in text:
        raise _invalid(path, "contains the character NUL")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise _invalid(path, "contains a lone surrogate, which is no character")


def _invalid(path: str, problem: str) -> InvalidTask:
    path = path.encode(errors="replace").decode().replace("\0", "?")[:200]
    return InvalidTask(FieldError(path, f"The value {problem}."))
