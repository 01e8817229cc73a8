"""A session without a lease to renew, for the tests of the workers. It ends when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks.engine.desk import Running
from tests.factories import make_worker


class FakeSession:
    def __init__(self, role: str = "plain", until: Callable[[], bool] = lambda: False) -> None:
        self.worker = make_worker(role=role)
        self.name = str(self.worker)
        self.is_safe, self.is_lost, self.is_idle = True, False, False
        self.grace_ends = None
        self.told, self._until = False, until

    @property
    def ending(self) -> bool:
        if not self.told and self._until():  # never back to False: another thread may have been told meanwhile
            self.told = True
        return self.told or self.is_lost


class FakePulse:
    def __init__(self) -> None:
        self.hurries = 0

    def hurry(self) -> None:
        self.hurries += 1


class FakeWatchdog:
    """Notes which tasks ran under its eyes."""

    def __init__(self) -> None:
        self.guarded: list[Running] = []

    @contextmanager
    def guard(self, running: Running) -> Iterator[None]:
        self.guarded.append(running)
        yield
