"""The queues: what each holds, and the switch that pauses it. Every queue is here, not only those with a row."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from tasks import counts, queues
from tasks.admin.rights import ReadOnly, has_any
from tasks.models import Queue

SWITCHES = {"pause": (queues.pause, "is paused"), "resume": (queues.resume, "is running")}


@admin.register(Queue)
class QueueAdmin(ReadOnly, admin.ModelAdmin):
    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return has_any(request, "view_queue", "view_queues")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and has_any(request, "operate_queues")

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("", wrap(self.changelist_view), name="tasks_queue_changelist"),
            path("<str:name>/<str:action>/", wrap(self.switch_view), name="tasks_queue_switch"),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "title": "Queues",
            "opts": self.opts,
            "queues": counts.queues(),
            "may_operate": self.has_operate_permission(request),
        }
        return TemplateResponse(request, "admin/tasks/queue/list.html", context)

    def switch_view(self, request: HttpRequest, name: str, action: str) -> HttpResponse:
        """A button of the list: it acts at once, on POST only. The verb writes Django's log entry."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_operate_permission(request):
            raise PermissionDenied
        if action not in SWITCHES or name not in {queue["name"] for queue in counts.queues()}:
            raise Http404
        verb, done = SWITCHES[action]
        changed = verb(name, request.user)
        messages.success(request, f"{name} {done}." if changed else f"{name} {done} already.")
        return HttpResponseRedirect(reverse("admin:tasks_queue_changelist"))
