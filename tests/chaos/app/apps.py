"""Start-up of a process under test: switch on the faults that its environment asks for."""

import datetime as dt
import os
import random
import sys
import time
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import psycopg
from django.apps import AppConfig
from django.db import OperationalError
from django.db.backends.signals import connection_created
from django.utils import timezone


class ChaosConfig(AppConfig):
    name = "tests.chaos.app"
    label = "chaos"

    def ready(self) -> None:
        if share := float(os.environ.get("CHAOS_SQL_FAILS", 0)):
            run = faulty(share)
            connection_created.connect(lambda connection, **_: through_django(connection, run), weak=False)
            past_django(run)
        if skew := float(os.environ.get("CHAOS_CLOCK_SKEW", 0)):
            skew_clock(dt.timedelta(seconds=skew))


class Conflict(Exception):
    """As PostgreSQL's driver says it."""

    sqlstate = "40001"


def faulty(share: float) -> Callable[..., Any]:
    """Runs a statement, but fails that share of them, half of these after they have been executed."""
    dice = random.Random()

    def run(statement, *arguments):
        if dice.random() >= share:
            return statement(*arguments)
        if dice.random() < 0.5:
            statement(*arguments)
        raise dice.choice([conflict, timeout, full_disk])()

    return run


def through_django(connection, run) -> None:
    connection.execute_wrappers[:] = [run]  # they outlive a connection that broke


def past_django(run) -> None:
    """`tasks.rows` uses the driver's plain cursor on PostgreSQL, and Django others of its own."""
    for name in ("execute", "executemany"):
        real = getattr(psycopg.Cursor, name)

        def execute(cursor, *arguments, real=real, **more):
            if type(cursor) is psycopg.Cursor:
                return run(partial(real, **more), cursor, *arguments)
            return real(cursor, *arguments, **more)

        setattr(psycopg.Cursor, name, execute)


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
