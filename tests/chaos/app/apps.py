"""Start-up of a process under test: switch on the faults that its environment asks for."""

import datetime as dt
import os
import random
import sys
import time
from types import ModuleType

from django.apps import AppConfig
from django.db import OperationalError
from django.db.backends.signals import connection_created
from django.utils import timezone


class ChaosConfig(AppConfig):
    name = "tests.chaos.app"
    label = "chaos"

    def ready(self) -> None:
        if share := float(os.environ.get("CHAOS_SQL_FAILS", 0)):
            connection_created.connect(lambda connection, **_: fail_at_random(connection, share), weak=False)
        if skew := float(os.environ.get("CHAOS_CLOCK_SKEW", 0)):
            skew_clock(dt.timedelta(seconds=skew))


class Conflict(Exception):
    """As PostgreSQL's driver says it."""

    sqlstate = "40001"


def fail_at_random(connection, share: float) -> None:
    """That share of this connection's statements, half of them after they have been executed."""
    dice = random.Random()

    def execute(run, *arguments):
        if dice.random() >= share:
            return run(*arguments)
        if dice.random() < 0.5:
            run(*arguments)
        raise dice.choice([conflict, timeout, full_disk])()

    connection.execute_wrappers[:] = [execute]  # they outlive a connection that broke


def conflict() -> OperationalError:
    error = OperationalError("could not serialize access due to concurrent update")
    error.__cause__ = Conflict()
    return error


def timeout() -> OperationalError:
    return OperationalError("canceling statement due to statement timeout")


def full_disk() -> OperationalError:
    return OperationalError("could not extend file: No space left on device")


class Skewed(dt.datetime):
    """Python's clock on a machine where it is wrong."""

    skew = dt.timedelta()

    @classmethod
    def now(cls, tz=None):
        return dt.datetime.now(tz) + cls.skew


def skew_clock(skew: dt.timedelta) -> None:
    """Let all of our modules read a wrong clock."""
    import tasks.engine.runner  # noqa: F401  with all that a worker needs

    Skewed.skew = skew
    wrong = ModuleType("datetime")
    vars(wrong).update(vars(dt), datetime=Skewed)
    for name, module in list(sys.modules.items()):
        if name.startswith("tasks.") and getattr(module, "dt", None) is dt:
            module.dt = wrong
    true_time = time.time
    time.time = lambda: true_time() + skew.total_seconds()
    timezone.now = lambda: Skewed.now(dt.UTC)
