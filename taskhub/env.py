"""Typed readers of environment variables. Nonsense stops the start with a sentence; nothing is guessed.

Any variable NAME may be given as NAME_FILE instead, the path of a file that holds the value: so secrets stay out of
process listings.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")


class InvalidEnvironment(Exception):
    """A variable that is missing or makes no sense; the message is for the operator."""


def text(name: str, default: str = "") -> str:
    """The value without the white space around it, or `default` when it is unset or empty."""
    path = os.environ.get(f"{name}_FILE")
    value = os.environ.get(name) if not path else _read(name, Path(path))
    return (value or "").strip() or default


def flag(name: str, default: bool = False) -> bool:
    return choice(name, {"1": True, "true": True, "0": False, "false": False}, default)


def choice(name: str, values: dict[str, T], default: T) -> T:
    value = text(name).lower()
    if value and value not in values:
        raise InvalidEnvironment(f"{name} is {value!r}; it must be one of {', '.join(values)}.")
    return values[value] if value else default


def integer(name: str, default: int, *, least: int = 0, most: int = 2**31) -> int:
    return _number(name, int, "a whole number", default, least, most)


def seconds(name: str, default: float, *, least: float = 0, most: float = 10 * 365 * 86_400) -> float:
    return _number(name, float, "a number of seconds", default, least, most)


def names(name: str, default: str = "") -> list[str]:
    """A comma-separated list."""
    return [part.strip() for part in text(name, default).split(",") if part.strip()]


def address(name: str, *schemes: str, default: str = "") -> str:
    """A URL with one of `schemes`. The sentence does not repeat its value, which may hold a password."""
    value = text(name, default).rstrip("/")
    if value and not _is_address(value, schemes):
        raise InvalidEnvironment(f"{name} must be an address such as {schemes[0]}://host:port.")
    return value


def apps(name: str, default: str = "") -> list[str]:
    """A comma-separated list of Django apps that can be imported."""
    for app in names(name, default):
        if find_spec(app.partition(".")[0]) is None:
            raise InvalidEnvironment(f"{name} lists {app!r}, which cannot be imported: is it on PYTHONPATH?")
    return names(name, default)


def parsed(name: str, parse: Callable[[str], T], default: str = "") -> T:
    """What `parse` makes of the value; its `ValueError` becomes the sentence."""
    try:
        return parse(text(name, default))
    except ValueError as error:
        raise InvalidEnvironment(f"{name} is not usable: {error}") from None


def checked(name: str, value: str, check: Callable[[str], object]) -> str:
    """`value`, unless `check` raises `ValueError`, which becomes the sentence."""
    try:
        check(value)
    except ValueError as error:
        raise InvalidEnvironment(f"{name} is not usable: {error}") from None
    return value


def directory(name: str, default: Path) -> Path:
    """An absolute path, made when it isn't there yet, for its owner only."""
    path = Path(text(name, str(default))).resolve()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidEnvironment(f"{name} names a directory that cannot be made: {error}.") from None
    return path


def secret(name: str, generated: Path | None, make: Callable[[], str] = lambda: secrets.token_urlsafe(48)) -> str:
    """A secret from the environment; else, when a path is given for it, one that is made once and kept there."""
    if value := text(name):
        return value
    if generated is None:
        raise InvalidEnvironment(f"{name} is not set. In production each secret must be given, or {name}_FILE.")
    return kept(generated, make)


def kept(path: Path, make: Callable[[], str]) -> str:
    """The content of a file that only its owner may read, made when it isn't there yet.

    It appears whole: processes that start at the same time all read what the first one made.
    """
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.") as draft:
            draft.write(make())
            draft.flush()
            with contextlib.suppress(FileExistsError):
                os.link(draft.name, path)
    return path.read_text().strip()


def _number(name: str, kind: Callable[[str], T], described: str, default: T, least: float, most: float) -> T:
    value = text(name)
    if not value:
        return default
    try:
        number = kind(value)
    except ValueError:
        raise InvalidEnvironment(f"{name} is {value!r}; it must be {described}.") from None
    if not least <= number <= most:  # type: ignore[operator]
        raise InvalidEnvironment(f"{name} is {value}; it must lie between {least:g} and {most:g}.")
    return number


def _is_address(value: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(value)
        place = parts.path if parts.scheme == "unix" else parts.hostname
        return parts.scheme in schemes and bool(place) and parts.port != 0
    except ValueError:
        return False


def _read(name: str, path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidEnvironment(f"{name}_FILE names a file that cannot be read: {error}.") from None
