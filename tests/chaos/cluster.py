"""A pool of workers as a process tree of the test's own: `manage.py qcluster`, its sentinel, and what that forks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db import DatabaseError, InterfaceError, connection

from tasks.database import database_now
from tasks.models import Worker
from tests.processes import children, descendants, environment, running

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 90.0  # seconds that something may take on a busy machine; what is measured has limits of its own


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE, told: Callable[[], str] = str) -> Any:
    """The first true value of `condition`. The database may be away meanwhile. `told` explains a failure."""
    end = time.monotonic() + seconds
    while True:
        with suppress(DatabaseError, InterfaceError):
            if found := condition():
                return found
        if connection.errors_occurred:
            connection.close()
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}\n{told()}")
        time.sleep(0.02)


class Cluster:
    """Not started yet. Everything that it starts is gone after `kill`."""

    def __init__(
        self, home: Path, url: str, workers: int = 2, command: str = "qcluster", **environment: object
    ) -> None:
        home.mkdir(exist_ok=True)
        self.log = home / "log"
        self.workers = workers
        self._command = [sys.executable, "-W", "ignore", str(ROOT / "manage.py"), *command.split()]
        self._environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "taskhub.settings",
            "TASKHUB_ENV": "development",
            "TASKHUB_DATA": str(home),
            "TASKHUB_APPS": "tests.app,tests.chaos.app",
            "TASKHUB_WORKERS": str(workers),
            "DATABASE_URL": url,
            "REDIS_URL": "",
            "PYTHONPATH": str(ROOT),
            **{name: str(value) for name, value in environment.items()},
        }
        self._mark = f"TASKHUB_DATA={home}".encode()
        self._process: subprocess.Popen[bytes] | None = None

    # -- the tree --------------------------------------------------------------------------------------------------

    def launch(self) -> Cluster:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        return self

    def start(self) -> Cluster:
        """Until every worker has a session."""
        self.launch()
        until(lambda: self.has_ended or self.is_complete, "a session for each worker", told=self.tail)
        assert not self.has_ended, self.tail()
        return self

    @property
    def is_complete(self) -> bool:
        return len(self.sessions()) == self.workers + 1

    @property
    def parent(self) -> int:
        assert self._process
        return self._process.pid

    @property
    def sentinel(self) -> int:
        return until(lambda: children(self.parent), "a sentinel")[0]

    @property
    def pusher(self) -> int:
        """Of the first generation: it is the last that the sentinel starts."""
        return children(self.sentinel)[-1]

    @property
    def monitor(self) -> int:
        return children(self.sentinel)[-2]

    def tree(self) -> list[int]:
        return [] if self.has_ended else [self.parent, *descendants(self.parent)]

    def remains(self) -> list[int]:
        """All that was ever started from here and still runs, whoever may be its parent now."""
        return [pid for pid in running() if self._mark in environment(pid)]

    def sessions(self, role: str | None = None) -> list[Worker]:
        """The live sessions of processes of this tree."""
        found = Worker.objects.filter(
            pid__in=self.tree(), stopped_at=None, lost_at=None, expires_at__gt=database_now()
        ).order_by("started_at")
        return list(found.filter(role=role) if role else found)

    @property
    def has_ended(self) -> bool:
        assert self._process
        return self._process.poll() is not None

    @property
    def code(self) -> int | None:
        assert self._process
        return self._process.poll()

    def tail(self) -> str:
        return self.log.read_text()[-3000:] if self.log.exists() else ""

    # -- its end ---------------------------------------------------------------------------------------------------

    def terminate(self) -> None:
        os.kill(self.parent, signal.SIGTERM)

    def wait(self, seconds: float = PATIENCE) -> int:
        assert self._process
        return self._process.wait(seconds)

    def kill(self) -> None:
        """At once, with everything that is left of the tree."""
        if self._process is None:
            return
        while remains := self.remains():
            for pid in remains:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._process.wait(PATIENCE)
