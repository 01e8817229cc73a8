"""The places in a payload where something is put in before the step runs. Pure.

    {"$result": "extract"}   the result of an earlier step
    {"$input": true}         the pipeline's input

They may stand anywhere in a payload, the payload itself included. What is put in is not searched for further places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.exceptions import FieldError, InvalidTask

RESULT, INPUT = "$result", "$input"


@dataclass(frozen=True, slots=True)
class Reference:
    """One place: its path, such as `payload.rows[0]`, and whose result goes there; None is the input."""

    path: str
    step: str | None


def references(value: Any, path: str = "payload") -> Iterator[Reference]:
    """All places in `value`. Raises `InvalidTask` for what looks like one and isn't."""
    if isinstance(value, Mapping):
        if RESULT in value or INPUT in value:
            yield Reference(path, _named(value, path))
            return
        for key, item in value.items():
            yield from references(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from references(item, f"{path}[{index}]")


def fill(value: Any, results: Mapping[str, Any], input: Any) -> Any:
    """A copy of `value` with everything put in. `results` holds what each step that it names has returned."""
    if isinstance(value, Mapping):
        if RESULT in value:
            return results[value[RESULT]]
        if INPUT in value:
            return input
        return {key: fill(item, results, input) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, results, input) for item in value]
    return value


def needed(value: Any) -> set[str]:
    """The steps whose results go into `value`."""
    return {reference.step for reference in references(value) if reference.step is not None}


def _named(value: Mapping[str, Any], path: str) -> str | None:
    if len(value) == 1 and value.get(INPUT) is True:
        return None
    if len(value) == 1 and isinstance(name := value.get(RESULT), str):
        return name
    raise InvalidTask(FieldError(path, 'Write {"$result": "a step"} or {"$input": true}, and nothing else beside it.'))
