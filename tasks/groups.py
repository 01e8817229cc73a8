"""The ready-made groups: what most teams need, made once. What an operator changes in them later is left as it is."""

from __future__ import annotations

from typing import Any

from django.apps import apps as installed
from django.contrib.auth.models import Group, Permission

from tasks import access
from tasks.access import Scopes

VIEWER = {"view_all_tasks", "view_queues", "view_workers", "view_metrics"}
SUBMITTER = {"submit_tasks", "view_queues"}  # and see their own tasks, as everybody does
OPERATOR = VIEWER | SUBMITTER | {"operate_tasks", "operate_queues"}
GROUPS: dict[str, set[str] | None] = {
    "viewer": VIEWER,
    "submitter": SUBMITTER,
    "operator": OPERATOR,
    "admin": None,  # everything that there is about tasks
}


def prepare(apps: Any = installed, **_: Any) -> None:
    """After each migration (and `flush`, which names no apps): the groups, and the environment's user `admin`."""
    try:
        apps.get_model("tasks", "Token")
    except LookupError:  # migrated to before our tables
        return
    make_groups()
    access.keep_admin()


def make_groups() -> None:
    present = set(Group.objects.filter(name__in=GROUPS).values_list("name", flat=True))
    for name in GROUPS.keys() - present:
        Group.objects.create(name=name).permissions.set(_permissions(GROUPS[name]))


def group_for(scopes: set[str]) -> str:
    """The group whose members may do what a token with `scopes` lets through, and least besides."""
    if Scopes.ADMIN in scopes:
        return "admin"
    if Scopes.OPERATE in scopes:
        return "operator"
    return "submitter" if Scopes.SUBMIT in scopes else "viewer"


def _permissions(codenames: set[str] | None) -> Any:
    own = Permission.objects.filter(content_type__app_label="tasks")
    return own if codenames is None else own.filter(codename__in=codenames)
