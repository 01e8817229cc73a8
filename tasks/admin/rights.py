"""Who may see and do what in the admin: Django's permissions for looking, the hub's own for acting."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import BadRequest, ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils.text import capfirst

from tasks.models import Task
from tasks.models.tasks import TaskQuerySet


class ReadOnly:
    """A section whose rows nobody adds, edits or deletes by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Listed:
    """A list that is called by what it lists, not "Select worker to view", and checks the ids that it is sent."""

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        for text in request.POST.getlist(ACTION_CHECKBOX_NAME):
            self._check_id(text)
        title = capfirst(self.opts.verbose_name_plural)  # type: ignore[attr-defined]
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def _check_id(self, text: str) -> None:
        try:
            self.opts.pk.to_python(text)  # type: ignore[attr-defined]
        except ValidationError:  # which Django itself would turn into an error of the server's
            raise BadRequest(f"{ACTION_CHECKBOX_NAME}: not an id.") from None


class TaskRights(ReadOnly):
    """For the sections that show tasks: everybody's with `view_all_tasks`, the reader's own with `view_task`."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return has_any(request, "view_task", "view_all_tasks")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and has_any(request, "operate_tasks")

    def get_queryset(self, request: HttpRequest) -> TaskQuerySet:
        return Task.objects.visible_to(request.user)


def has_any(request: HttpRequest, *codenames: str) -> bool:
    return any(request.user.has_perm(f"tasks.{codename}") for codename in codenames)
