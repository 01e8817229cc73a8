"""The worker sessions: who lives, what they hold, and who was lost. Nobody changes them here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone

from tasks.admin import display
from tasks.admin.filters import Word
from tasks.admin.paging import CappedPaginator
from tasks.admin.rights import Listed, ReadOnly, has_any
from tasks.models import Task, Worker

SHOWN = 50  # tasks that a worker's page lists
COLOURS = {"live": "completed", "silent": "failed", "stopped": "canceled", "lost": "dead_lettered"}


class State(Word):
    """As `standing` says it, in SQL."""

    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state) for state in COLOURS]

    def queryset(self, request: HttpRequest, rows: QuerySet[Worker]) -> QuerySet[Worker]:
        now = timezone.now()
        conditions = {
            "live": Q(stopped_at=None, lost_at=None, expires_at__gt=now),
            "silent": Q(stopped_at=None, lost_at=None, expires_at__lte=now),
            "stopped": Q(stopped_at__isnull=False),
            "lost": Q(lost_at__isnull=False),
        }
        state = self.value()
        if state is None:
            return rows
        return rows.filter(conditions[state]) if state in conditions else rows.none()


def standing(worker: Worker) -> str:
    """`silent` is a session whose lease has run out and that nobody has declared lost yet."""
    if worker.lost_at:
        return "lost"
    if worker.stopped_at:
        return "stopped"
    return "live" if worker.expires_at > timezone.now() else "silent"


@admin.register(Worker)
class WorkerAdmin(Listed, ReadOnly, admin.ModelAdmin):
    fields: Any = ["id", "host", "pid", "role", "state", "heartbeat", "since", "busy"]
    readonly_fields = fields
    list_display = ["worker", "state", "role", "heartbeat", "busy", "held", "since"]
    list_display_links = ["worker"]
    list_filter = [State]
    list_max_show_all = 0
    ordering = ["-id"]
    paginator = CappedPaginator
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    sortable_by = ()

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return has_any(request, "view_worker", "view_workers")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Worker]:
        held = Task.objects.processing().filter(worker=OuterRef("pk")).order_by().values("worker")
        return Worker.objects.annotate(held=Coalesce(Subquery(held.annotate(n=Count("pk")).values("n")), 0))

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        obj = context["original"]
        held = Task.objects.visible_to(request.user).processing().filter(worker=obj).select_related("owner")
        context |= {"held": held.defer("payload", "state").order_by("pk")[:SHOWN], "title": str(obj), "subtitle": None}
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="Worker")
    def worker(self, worker: Worker) -> str:
        return str(worker)

    @admin.display(description="State")
    def state(self, worker: Worker) -> str:
        state = standing(worker)
        return display.badge(state, COLOURS[state])

    @admin.display(description="Heartbeat")
    def heartbeat(self, worker: Worker) -> str:
        return display.ago(worker.heartbeat_at)

    @admin.display(description="Idle since")
    def busy(self, worker: Worker) -> str:
        return display.ago(worker.idle_since)

    @admin.display(description="Tasks")
    def held(self, worker: Any) -> int:
        return worker.held

    @admin.display(description="Started")
    def since(self, worker: Worker) -> str:
        return display.ago(worker.started_at)
