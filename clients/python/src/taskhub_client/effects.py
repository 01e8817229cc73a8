"""What a script may ask for. It yields an effect and is sent what came of it; failures it expects come as values.

Scripts call `perform`, which raises such a failure where it belongs.
"""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from taskhub_client.errors import APIError, WaitTimeout
from taskhub_client.types import Event

R = TypeVar("R")
Script = Generator[Any, Any, R]

SHORTEST_S = 0.5
LONGEST_S = 20.0


@dataclass(frozen=True)
class Ask:
    """One request over HTTP. Comes to an `Answer`, or `Unreachable`."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Rest:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Open:
    """Open a socket in place of the last one, within so many seconds. May come to `Lost`."""

    patience: float


@dataclass(frozen=True)
class Say:
    """Send a frame. May come to `Lost`."""

    text: str


@dataclass(frozen=True)
class Hear:
    """The next frame, within so many seconds. Comes to its text, or `Lost`."""

    patience: float


@dataclass(frozen=True)
class Leave:
    """Close the socket, if there is one."""


@dataclass(frozen=True)
class Tell:
    """Give an event to whoever iterates over the stream, or raise what one of its subscriptions was refused with."""

    event: Event | APIError


class Failure(Exception):
    """What a script expects to happen now and then."""


class Unreachable(Failure):
    """No answer came."""


class Lost(Failure):
    """There is no socket any more. 1006, as in browsers, when it ended without a word."""

    def __init__(self, code: int, why: str = "") -> None:
        super().__init__(why or f"closed with {code}")
        self.code = code


def perform(effect: Any) -> Script[Any]:
    """What came of it. Raises the failure."""
    outcome = yield effect
    if isinstance(outcome, Failure):
        raise outcome
    return outcome


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row: full jitter from 0.5 s up to a doubling ceiling of 20 s."""
    ceiling = min(LONGEST_S, SHORTEST_S * 2.0 ** min(failures, 10))
    return random.uniform(SHORTEST_S, ceiling)  # noqa: S311


class Deadline:
    """When the patience of whoever waits is over; with None it never is. In seconds."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def clip(self, seconds: float) -> float:
        """So long, but not beyond the deadline. Raises `WaitTimeout` once that has passed."""
        if self._end is None:
            return seconds
        left = self._end - time.monotonic()
        if left <= 0:
            raise WaitTimeout("What was waited for has not come in time.")
        return min(seconds, left)
