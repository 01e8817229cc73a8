"""`manage.py hub`: web and workers under one supervisor. `make run` starts it in development."""

from __future__ import annotations

import fcntl
import functools
import logging
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tasks import access
from tasks.engine.address import Address, CannotListen
from tasks.engine.children import Child
from tasks.engine.sources import Sources
from tasks.engine.supervisor import Supervisor
from tasks.engine.watch import Watch
from tasks.welcome import welcome

logger = logging.getLogger(__name__)

UNDER_HUB = {"TASKHUB_UNDER_HUB": "1"}  # /readyz waits for the first worker
UNBUFFERED = {"PYTHONUNBUFFERED": "1"}  # what a handler prints is not lost when its process is killed
INSTALLED = {"site-packages", "dist-packages"}


class Command(BaseCommand):
    help = "Run the web server and the workers; start them anew when they die or stand still."
    requires_system_checks = []  # `_prepare` runs them, while the web server starts

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1)")
        parser.add_argument("--port", type=int, help="the port to listen on (PORT, or 8000)")
        parser.add_argument("--workers", type=int, help="how many processes run handlers (TASKHUB_WORKERS)")
        parser.add_argument("--no-web", dest="web", action="store_false", help="run the workers only")
        parser.add_argument("--no-workers", dest="cluster", action="store_false", help="run the web server only")

    def handle(self, *args: Any, host: str, web: bool, cluster: bool, **options: Any) -> None:
        if not web and not cluster:
            sys.exit("taskhub: --no-web and --no-workers together leave nothing to run.")
        with_environment(PORT=options["port"], TASKHUB_WORKERS=options["workers"])
        self._check_once = functools.cache(self.check)
        self._lock = only_one()
        self._address = listening(host) if web else None
        supervisor = Supervisor(
            Watch(self._prepare),
            web=web_server(self._address, with_workers=cluster) if self._address else None,
            cluster=cluster_of_workers() if cluster else None,
            sessions=settings.TASKHUB_WORKERS + 1,  # one of them runs the event loop
            grace=settings.TASKHUB_SHUTDOWN_GRACE_S,
            sources=Sources(folders()) if settings.DEVELOPMENT else None,
            on_ready=self._announce,
            on_stop=self._say_goodbye,
        )
        had_time = supervisor.run()
        self.stdout.flush()
        os._exit(0 if had_time else 130)  # what is left, to free the memory piece by piece, may take a second

    def _prepare(self) -> bool:
        """Bring the database into order; in production that is the operator's, and we wait for it. Tried until true."""
        self._check_once()
        if lacks_migrations():
            if not settings.DEVELOPMENT:
                ask_for_migrations()
                return False
            call_command("migrate", verbosity=0, interactive=False)
        self._admin = access.bootstrap()
        return True

    def _announce(self) -> None:
        if settings.DEVELOPMENT and self._address:
            self.stdout.write(welcome(self._admin, strong=self.style.SUCCESS))
            self.stdout.flush()  # it may be a pipe or a file
        else:
            logger.info("The hub runs%s.", f" at {settings.TASKHUB_BASE_URL}" if self._address else "")

    def _say_goodbye(self) -> None:
        logger.info("Stopping; Ctrl-C ends everything at once.")
        if self._address:
            self._address.close()


def with_environment(**values: int | None) -> None:
    """An option is another way to say a variable. Settings are read once, at the start: so start again with them."""
    given = {name: str(value) for name, value in values.items() if value is not None}
    if any(os.environ.get(name) != value for name, value in given.items()):
        for name in given:
            os.environ.pop(f"{name}_FILE", None)
        os.environ.update(given)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - ourselves


def only_one() -> IO[str]:
    """A lock that the kernel frees when this process ends. A second hub with the same data ends here."""
    file = open(settings.DATA / "hub.lock", "w")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"taskhub: another hub runs with the data in {settings.DATA}; stop it, or set TASKHUB_DATA.")
    return file


def listening(host: str) -> Address:
    try:
        return Address(host, settings.PORT)
    except CannotListen as error:
        sys.exit(f"taskhub: {error}")


def web_server(address: Address, with_workers: bool) -> Child:
    module, _, name = settings.ASGI_APPLICATION.rpartition(".")
    command = [
        sys.executable, "-m", "daphne", *address.options(), "--verbosity", "0",
        "--websocket_timeout", "-1", "--ping-interval", "20", "--ping-timeout", "30", f"{module}:{name}",
    ]  # fmt: skip
    path = os.pathsep.join(filter(None, [str(settings.BASE_DIR), os.environ.get("PYTHONPATH")]))
    environment = UNBUFFERED | {"PYTHONPATH": path} | (UNDER_HUB if with_workers else {})
    return Child("The web server", command, environment, address.descriptors())


def cluster_of_workers() -> Child:
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "qcluster", "--skip-checks"]
    return Child("The cluster", command, UNBUFFERED | UNDER_HUB)


def lacks_migrations() -> bool:
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


@functools.cache  # once
def ask_for_migrations() -> None:
    logger.warning("The database lacks migrations: run `manage.py migrate`. The workers start after it.")


def folders() -> list[Path]:
    """Where code is that a developer may change: the project and the apps that are not installed as packages."""
    project = import_module(settings.SETTINGS_MODULE).__file__
    templates = settings.BASE_DIR / "templates"
    found = [Path(config.path) for config in apps.get_app_configs()]
    own = [folder for folder in found if INSTALLED.isdisjoint(folder.parts)]
    return [*own, templates, Path(project or "").parent]
