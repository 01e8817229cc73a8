"""The database's time, in a test's hand."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

from django.db import connection

from tasks import database

ASKED = {"sqlite": re.compile(r"(?i)'now'"), "postgresql": re.compile(r"(?i)\b(clock|statement)_timestamp\(\)")}
TOLD = {"sqlite": "'{:%Y-%m-%d %H:%M:%S.%f}'", "postgresql": "timestamptz '{:%Y-%m-%d %H:%M:%S.%f}+00'"}


class Clock:
    """Stands still unless it is told to go on."""

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)

    def go_on(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)

    @contextmanager
    def installed(self) -> Iterator[Clock]:
        """Wherever this thread asks the database for the time, in a statement or for SQLite in Python, it is told."""
        here = SimpleNamespace(datetime=SimpleNamespace(now=lambda zone: self.now), UTC=dt.UTC)
        with mock.patch.object(database, "dt", here), connection.execute_wrapper(self._execute):
            yield self

    def _execute(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        vendor = connection.vendor
        return execute(ASKED[vendor].sub(TOLD[vendor].format(self.now), sql), params, many, context)
