"""What `make run` says: where the dashboard is, how to get in, and a command that submits a first task."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings

from tasks import access, registry, signin
from tasks.exceptions import InvalidTask

SCOPES = ["submit", "read", "operate"]
SHOWS_MOST = "demo.report"  # it reports progress


def welcome(user: Any, strong: Callable[[str], str] = str) -> str:
    """The text, with what matters most in it made `strong`."""
    return f"""
  {strong("TaskHub")} runs at {strong(settings.TASKHUB_BASE_URL)}

  Sign in, once, within 15 minutes:
    {strong(signin.make_link(user))}
  Another link:
    {shlex.quote(shown(Path(sys.executable)))} manage.py signin-link
  Submit a task:
    {curl(token_file(user))}

  Ctrl-C stops everything.
"""


def curl(token: Path) -> str:
    """A command, on one line, that submits a task with the token in that file."""
    body = json.dumps({"name": example()})
    return (
        f'curl {settings.TASKHUB_BASE_URL}/api/v1/tasks -H "Authorization: Bearer $(cat {shlex.quote(shown(token))})"'
        f" -H 'Content-Type: application/json' -d {shlex.quote(body)}"
    )


def example() -> str:
    """A handler that runs without arguments, if there is one."""
    names = [handler.name for handler in registry.handlers() if _needs_nothing(handler)]
    return SHOWS_MOST if SHOWS_MOST in names else next(iter(names), SHOWS_MOST)


def _needs_nothing(handler: registry.Handler) -> bool:
    try:
        handler.bind({})
    except InvalidTask:
        return False
    return True


def token_file(user: Any) -> Path:
    """A file that only its owner may read, with a token of that user's that is good."""
    path = settings.DATA / "token"
    if not (path.exists() and access.token_principal(path.read_text().strip())):
        _, raw = access.make_token(user, SCOPES, name="make run")
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(raw + "\n")
    return path


def shown(path: Path) -> str:
    """Relative to the present folder where that is shorter."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
