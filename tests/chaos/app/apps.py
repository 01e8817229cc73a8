"""Start-up of a process under test: switch on the faults that its environment asks for."""

import datetime as dt
import os
import random

from django.apps import AppConfig
from django.db import DatabaseError, OperationalError
from django.db.backends.signals import connection_created


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

    connection.execute_wrappers.append(execute)


def conflict() -> OperationalError:
    error = OperationalError("could not serialize access due to concurrent update")
    error.__cause__ = Conflict()
    return error


def timeout() -> OperationalError:
    return OperationalError("canceling statement due to statement timeout")


def full_disk() -> DatabaseError:
    return OperationalError("could not extend file: No space left on device")


def skew_clock(skew: dt.timedelta) -> None:
    """This machine's clock is wrong."""

    class Skewed(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + skew

        @classmethod
        def utcnow(cls):
            return cls.now(dt.UTC).replace(tzinfo=None)

    dt.datetime = Skewed  # type: ignore[misc]
