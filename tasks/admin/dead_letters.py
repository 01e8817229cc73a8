"""The dead letters: not two thousand rows but the few errors that they are, each to be resurrected whole."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from tasks.admin import confirmation
from tasks.admin.rights import TaskRights
from tasks.admin.story import Try
from tasks.dead_letters import DAYS, ErrorGroup, group, groups
from tasks.models import DeadLetter
from tasks.models.tasks import TaskQuerySet
from tasks.states import Actions

PAGE = 50  # groups
NEWEST = 25  # tasks of a group that its page shows
BAR, TALL = 6, 28  # pixels of the trend: one day's width, the busiest day's height


@admin.register(DeadLetter)
class DeadLetterAdmin(TaskRights, admin.ModelAdmin):
    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("", wrap(self.changelist_view), name="tasks_deadletter_changelist"),
            path("<str:fingerprint>/", wrap(self.group_view), name="tasks_deadletter_group"),
            path("<str:fingerprint>/resurrect/", wrap(self.resurrect_view), name="tasks_deadletter_resurrect"),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        page = _number(request.GET.get("p", "1"))
        found = groups(self.get_queryset(request), (page - 1) * PAGE, page * PAGE + 1)
        rows = [(found, bars(found)) for found in found[:PAGE]]
        older = page + 1 if len(found) > PAGE else None
        return self._render(
            request, "groups", title="Dead letters", rows=rows, page=page, newer=page - 1, older=older
        )  # fmt: skip

    def group_view(self, request: HttpRequest, fingerprint: str) -> HttpResponse:
        tasks = self._tasks(request, fingerprint)
        found = group(tasks, fingerprint)
        if found is None:
            raise Http404("There is no dead letter of this error.")
        last = found.sample.attempts.order_by("-number").first()
        newest = tasks.dead_lettered().select_related("owner").defer("payload", "result").order_by("-finished_at")
        return self._render(
            request,
            "group",
            title=(found.sample.error or {}).get("type"),
            group=found,
            bars=bars(found),
            last=Try(last) if last else None,
            newest=newest[:NEWEST],
        )

    def resurrect_view(self, request: HttpRequest, fingerprint: str) -> HttpResponse:
        """GET shows what would be done; POST, from that page, does it."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        tasks = self._tasks(request, fingerprint).dead_lettered()
        back = reverse("admin:tasks_deadletter_group", args=[fingerprint])
        if not confirmation.is_confirmed(request):
            return confirmation.page(request, self, tasks, Actions.RESURRECT, whole=True, back=back)
        confirmation.act(request, self, tasks, Actions.RESURRECT, whole=True)
        return HttpResponseRedirect(back if tasks.exists() else reverse("admin:tasks_deadletter_changelist"))

    def _tasks(self, request: HttpRequest, fingerprint: str) -> TaskQuerySet:
        if not self.has_view_permission(request):
            raise PermissionDenied
        if "\0" in fingerprint:
            raise Http404
        return self.get_queryset(request).filter(fingerprint=fingerprint)

    def _render(self, request: HttpRequest, name: str, **context: Any) -> TemplateResponse:
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            f"admin/tasks/deadletter/{name}.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "may_operate": self.has_operate_permission(request),
                "days": DAYS,
                **context,
            },
        )


def bars(group: ErrorGroup) -> list[dict[str, int]]:
    """The trend as rectangles of an SVG image; a day with any is at least two pixels high."""
    most = max(*group.trend, 1)
    heights = [max(2, round(TALL * n / most)) if n else 0 for n in group.trend]
    return [
        {"x": n * BAR, "y": TALL - height, "width": BAR - 1, "height": height, "count": count}
        for n, (height, count) in enumerate(zip(heights, group.trend, strict=True))
    ]


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text[:9]) <= 10_000 else 1
