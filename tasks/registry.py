"""The handlers: which Python functions tasks may name, and whether a payload fits one. No database.

@handler("reports.build", queue="reports", max_attempts=5, timeout=60)
def build_report(ctx, month: str): ...
"""

from __future__ import annotations

import copy
import functools
import inspect
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from django.utils.module_loading import autodiscover_modules

from tasks.exceptions import FieldError, InvalidTask

NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
RESERVED = frozenset({"callback"})  # the name that HTTP callbacks go by
ATTEMPTS_LIMIT = 1000
TIMEOUT_LIMIT = 86_400  # seconds


@dataclass(frozen=True, slots=True)
class Handler:
    """A registered function, and what a submission that says nothing gets. `timeout` is in seconds."""

    name: str
    function: Callable[..., Any]
    queue: str
    max_attempts: int
    timeout: float
    arguments: type[msgspec.Struct]
    is_async: bool

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def bind(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The keyword arguments for the function, converted to the types that it annotates.

        Raises `InvalidTask` naming the argument that is missing, unknown or of the wrong type.
        """
        try:
            bound = msgspec.convert(payload, self.arguments, str_keys=True)
        except msgspec.ValidationError as error:
            raise InvalidTask(_field_error(str(error))) from None
        return {name: getattr(bound, name) for name in bound.__struct_fields__}


_handlers: dict[str, Handler] = {}


def handler(
    name: str, *, queue: str = "default", max_attempts: int = 10, timeout: float = 300
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as the handler of tasks called `name`. Its first parameter is the attempt's context.

    Raises `ValueError` for what no task could ever run with.
    """
    _check_options(name, queue, max_attempts, timeout)

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        if name in _handlers and _place(_handlers[name].function) != _place(function):
            raise ValueError(f"{name!r} is the handler {_place(_handlers[name].function)} already")
        arguments, is_async = _arguments(name, function), inspect.iscoroutinefunction(function)
        _handlers[name] = Handler(name, function, queue, max_attempts, timeout, arguments, is_async)
        return function

    return register


def find(name: str) -> Handler:
    """Raises `InvalidTask` on the field `name` when there is none."""
    try:
        return _handlers[name]
    except KeyError:
        known = ", ".join(sorted(_handlers)) or "none"
        raise InvalidTask(FieldError("name", f"There is no handler {name!r}. Registered: {known}.")) from None


def handlers() -> list[Handler]:
    """All registered handlers, by name."""
    return [_handlers[name] for name in sorted(_handlers)]


def autodiscover() -> None:
    """Import `handlers.py` of every installed app."""
    autodiscover_modules("handlers")


def _check_options(name: str, queue: str, max_attempts: int, timeout: float) -> None:
    for word, value in (("name", name), ("queue", queue)):
        if not NAME.fullmatch(value):
            raise ValueError(f"{value!r} cannot be the {word} of a handler: use 1 to 100 of A-Z a-z 0-9 . _ -")
    if name in RESERVED:
        raise ValueError(f"{name!r} cannot be the name of a handler: HTTP callbacks go by it")
    if not 1 <= max_attempts <= ATTEMPTS_LIMIT:
        raise ValueError(f"max_attempts of {name!r} is {max_attempts}; it must lie between 1 and {ATTEMPTS_LIMIT}")
    if not 0 < timeout <= TIMEOUT_LIMIT:
        raise ValueError(f"timeout of {name!r} is {timeout}; it must lie above 0 and at most at {TIMEOUT_LIMIT} s")


def _place(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _arguments(name: str, function: Callable[..., Any]) -> type[msgspec.Struct]:
    """A struct with a field for each parameter after the context, so that a payload can be checked against it."""
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        raise ValueError(f"The handler {name!r} takes no argument: its first one must be the context")
    fields: list[Any] = []
    for parameter in parameters[1:]:
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ValueError(f"The handler {name!r} must name its arguments: {parameter} cannot be checked")
        hint = hints.get(parameter.name, Any)
        default = () if parameter.default is parameter.empty else (_default(parameter.default),)
        fields.append((parameter.name, hint, *default))
    arguments = msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)
    try:
        msgspec.json.schema(arguments)
    except TypeError as error:
        raise ValueError(f"The handler {name!r} has an argument that JSON cannot fill: {_last_line(error)}") from None
    return arguments


def _last_line(error: TypeError) -> str:
    return str(error).splitlines()[-1]


def _default(value: Any) -> Any:
    """A copy for each task, so that one that changes its argument does not change the next one's."""
    return msgspec.field(default_factory=functools.partial(copy.deepcopy, value))


def _field_error(text: str) -> FieldError:
    """msgspec says "... - at `$.month`" or "... `month`"; we say it as a path under payload."""
    message, _, path = text.partition(" - at `$")
    path = path.rstrip("`")
    if named := re.search(r"(?:required|unknown) field `([^`]+)`", message):
        path += f".{named[1]}"
    return FieldError(f"payload{path}", message.rstrip(".") + ".")
