"""System checks: combinations that start and then do not do what somebody meant. Each has an id and a hint.

`manage.py check` runs those that need no database, `manage.py check --database default` all of them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register
from django.db import connection

from tasks import registry
from tasks.callbacks.guard import AddressPolicy, Exemption
from tasks.database import database_now
from tasks.models import Task, Worker
from tasks.models.tasks import CALLBACK

TAG = "taskhub"
CARRIER = (1, 11)  # of django-q2: newer versions may pack their tickets differently, see tasks/engine/broker.py
TELLTALES = tuple(  # who answers there, this machine or its cloud's metadata, tells secrets
    map(ip_address, ("127.0.0.1", "::1", "169.254.169.254", "168.63.129.16", "fd00:ec2::254"))
)
BROAD = 2**16  # addresses


def register_all() -> None:
    """Called once, at start-up."""
    for check in (check_carrier, check_callbacks, check_base_url, check_services):
        register(check, TAG)
    for look in (check_handlers, check_hosts):
        register(_with_database(look), Tags.database)


def check_carrier(**_: Any) -> Iterator[CheckMessage]:
    found = version("django-q2")
    if tuple(int(part) for part in found.split(".")[:2]) != CARRIER:
        yield Error(
            f"django-q2 is {found}; TaskHub uses parts of {CARRIER[0]}.{CARRIER[1]} that are not documented.",
            hint="Install what requirements/run.txt names.",
            id="tasks.E001",
        )


def check_callbacks(**_: Any) -> Iterator[CheckMessage]:
    exemptions = AddressPolicy.parse(settings.TASKHUB_CALLBACK_ALLOW).exemptions
    if settings.DEVELOPMENT:
        return
    for exemption in exemptions:
        if any(exemption.covers(told, exemption.port or 80) for told in TELLTALES) or _is_broad(exemption):
            yield Warning(
                f"TASKHUB_CALLBACK_ALLOW lists {exemption.network}: whoever may submit tasks can make the hub send "
                "requests to this machine, its cloud's metadata or a whole private network.",
                hint="List single receivers with their ports, such as 10.1.2.3:8443.",
                id="tasks.W001",
            )


def check_base_url(**_: Any) -> Iterator[CheckMessage]:
    host = urlsplit(settings.TASKHUB_BASE_URL).hostname
    if not settings.DEVELOPMENT and host in ("localhost", "127.0.0.1", "::1"):
        yield Warning(
            f"TASKHUB_BASE_URL is {settings.TASKHUB_BASE_URL}: receivers of callbacks find no way back to the hub.",
            hint="Set it to the address that people and receivers use, such as https://hub.example.com.",
            id="tasks.W002",
        )


def check_services(**_: Any) -> Iterator[CheckMessage]:
    if connection.vendor == "postgresql" and not settings.REDIS_URL:
        yield Info(
            "PostgreSQL without REDIS_URL: hints and rate limits go through the database.",
            hint="That is correct on any number of machines; Redis takes this load off the database.",
            id="tasks.I001",
        )


def check_handlers() -> Iterator[CheckMessage]:
    known = {CALLBACK, *(handler.name for handler in registry.handlers())}
    for name in (
        Task.objects.waiting().exclude(name__in=known).order_by("name").values_list("name", flat=True).distinct()
    ):
        yield Warning(
            f"Tasks are waiting for the handler {name!r}, which this installation does not have.",
            hint="Install its app through TASKHUB_APPS, here or where the workers run; or cancel the tasks.",
            id="tasks.W003",
        )


def check_hosts() -> Iterator[CheckMessage]:
    live = Worker.objects.filter(stopped_at__isnull=True, lost_at__isnull=True)
    hosts = live.filter(expires_at__gt=database_now() - dt.timedelta(hours=1)).values_list("host", flat=True).distinct()
    if connection.vendor == "sqlite" and len(hosts) > 1:
        yield Error(
            f"Workers on {len(hosts)} machines share one SQLite file: {', '.join(sorted(hosts))}.",
            hint="SQLite's locks do not hold across machines. Set DATABASE_URL to a PostgreSQL database.",
            id="tasks.E002",
        )


def _with_database(check: Callable[[], Iterable[CheckMessage]]) -> Callable[..., list[CheckMessage]]:
    """Run it only when the database is asked for, and has its tables."""

    def run(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
        if not databases or Task._meta.db_table not in connection.introspection.table_names():
            return []
        return list(check())

    return run


def _is_broad(exemption: Exemption) -> bool:
    return exemption.port is None and exemption.network.num_addresses > BROAD
