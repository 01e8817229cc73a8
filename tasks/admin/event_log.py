"""The event log, as it was written: who did what to which task. Nobody changes a row."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from tasks.admin import display
from tasks.admin.filters import Word
from tasks.admin.paging import CappedPaginator
from tasks.admin.rights import Listed, ReadOnly, has_any
from tasks.admin.search import READ, newest, search_events
from tasks.models import TaskEvent
from tasks.states import Actions, States


class Recent(Word):
    """A column without an index: the filter looks at the newest rows only."""

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return super().queryset(request, newest(rows, READ)) if self.value() else rows


class Action(Recent):
    title = parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(Actions.choices)


class Status(Recent):
    title = parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status, display.label(status)) for status in States.values]


@admin.register(TaskEvent)
class TaskEventAdmin(Listed, ReadOnly, admin.ModelAdmin):
    actions = None
    fields: Any = [
        "id", "timestamp", "type", "task", "version", "action", "step", "attempt", "actor", "message", "details"
    ]  # fmt: skip
    readonly_fields = fields
    list_display = ["when", "what", "task", "step", "actor", "message"]
    list_display_links = ["when"]
    list_filter = [Action, Status]
    list_max_show_all = 0
    ordering = ["-id"]
    paginator = CappedPaginator
    search_fields = ["task_id", "actor", "message"]
    search_help_text = (
        f"A task's id, or words in handler, queue, actor, message. Words and filters read the newest {READ:,}."
    )
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    sortable_by = ()

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The log tells of everybody's tasks."""
        return has_any(request, "view_all_tasks")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        return search_events(queryset, search_term) if search_term.strip() else queryset, False

    @admin.display(description="When")
    def when(self, event: TaskEvent) -> str:
        return display.ago(event.timestamp)

    @admin.display(description="What")
    def what(self, event: TaskEvent) -> str:
        return display.what(event)

    @admin.display(description="Task")
    def task(self, event: TaskEvent) -> str:
        if event.task_id is None:
            return event.name
        text = f"{event.name} {display.short_id(event.task_id)}"
        return display.task_link(event.task_id, text)

    @admin.display(description="State")
    def step(self, event: TaskEvent) -> str:
        if event.previous_status in (None, event.status):
            return display.chip(event.status)
        return format_html("{} → {}", display.chip(event.previous_status), display.chip(event.status))

    @admin.display(description="Data")
    def details(self, event: TaskEvent) -> str:
        return display.code(event.data)
