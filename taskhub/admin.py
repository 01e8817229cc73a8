"""The admin site as a whole: its name, the order of its sections, the overview on its first page."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest
from django.template.response import TemplateResponse

ORDER = ["DeadLetter", "Task", "Pipeline", "Queue", "Worker", "TaskEvent", "Token"]  # the most needed first
GROUPS = 5  # of dead letters, on the first page


class HubSite(AdminSite):
    site_header = site_title = "TaskHub"
    index_title = "Operations"
    login_template = "registration/login.html"

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        apps = super().get_app_list(request, app_label)
        for app in apps:
            if app["app_label"] == "tasks":
                app["models"].sort(key=lambda model: _place(model["object_name"]))
        return sorted(apps, key=lambda app: app["app_label"] != "tasks")

    def login(self, request: HttpRequest, extra_context: Any = None) -> Any:
        from tasks.dashboard.signin import throttled  # which needs the models

        return throttled(super().login)(request, extra_context)

    def index(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        return super().index(request, {**overview(request), **(extra_context or {})})


class HubAdmin(AdminConfig):
    """Stands in INSTALLED_APPS for `django.contrib.admin`."""

    default_site = "taskhub.admin.HubSite"


def _place(name: str) -> int:
    return ORDER.index(name) if name in ORDER else len(ORDER)


def overview(request: HttpRequest) -> dict[str, Any]:
    """How many tasks are where, and what died last; both only as far as the reader may see it."""
    from tasks import counts, dead_letters  # the models cannot be imported yet when the site is made
    from tasks.models import Task
    from tasks.states import States

    may = request.user.has_perm
    if not (may("tasks.view_task") or may("tasks.view_all_tasks")):
        return {}
    tallies = []
    if may("tasks.view_all_tasks"):
        by_status = counts.queue_status()["by_status"]
        tallies = [(status, by_status[status]) for status in States.values]
    return {
        "tallies": tallies,
        "groups": dead_letters.groups(Task.objects.visible_to(request.user), 0, GROUPS),
    }
