"""The database's time, in a test's hand."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from django.db.models.functions import Now

from tasks.database import database_now


class Clock:
    """Stands still unless it is told to go on."""

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)

    def go_on(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)

    @contextmanager
    def installed(self) -> Iterator[Clock]:
        """Wherever the hub asks the database for the time, in Python or within a statement, it is told this one."""
        askers = [module for module in list(sys.modules.values()) if vars(module).get("database_now") is database_now]
        with mock.patch.multiple(Now, as_sql=self._as_sql, as_sqlite=self._as_sql, as_postgresql=self._as_sql):
            for module in askers:
                module.database_now = lambda: self.now  # type: ignore[attr-defined]
            try:
                yield self
            finally:
                for module in askers:
                    module.database_now = database_now  # type: ignore[attr-defined]

    def _as_sql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:
        return "%s", [connection.ops.adapt_datetimefield_value(self.now)]
