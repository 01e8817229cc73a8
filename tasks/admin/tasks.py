"""The tasks: a list to search, filter and act on, and a page for each that tells its whole story."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin import helpers
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import path, reverse
from django.utils.html import format_html

from tasks.admin import confirmation, display, filters, story
from tasks.admin.operations import VERBS, offered, operate
from tasks.admin.paging import CappedPaginator
from tasks.admin.rights import Listed, TaskRights
from tasks.admin.search import READ, search_tasks
from tasks.masking import mask_url
from tasks.models import Task
from tasks.models.tasks import TaskQuerySet
from tasks.states import Actions

HEAVY = ["payload", "result", "state", "callback_headers"]  # up to 256 KiB each, and no list shows them
WORDS = {
    Actions.RETRY: "Retry now",
    Actions.RESURRECT: "Resurrect",
    Actions.CANCEL: "Cancel",
    Actions.PAUSE: "Pause",
    Actions.RESUME: "Resume",
}


class TaskList(ChangeList):
    """The rows of one page, without what no list shows."""

    def get_queryset(self, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        return super().get_queryset(*args, **kwargs).defer(*HEAVY)


def bulk(action: Actions) -> Any:
    """The action of the list's menu that previews `action`, and does it once it is confirmed."""

    @admin.action(description=WORDS[action], permissions=["operate"])
    def ask(section: TaskAdmin, request: HttpRequest, tasks: TaskQuerySet) -> HttpResponse | None:
        whole = request.POST.get("select_across") == "1"
        if confirmation.is_confirmed(request):
            confirmation.act(request, section, tasks, action, whole)
            return None  # Django goes back to the list as it was filtered
        ticked = request.POST.getlist(helpers.ACTION_CHECKBOX_NAME)[:1]
        return confirmation.page(request, section, tasks, action, whole, ticked=ticked)

    ask.__name__ = str(action)
    return ask


@admin.register(Task)
class TaskAdmin(Listed, TaskRights, admin.ModelAdmin):
    actions = [bulk(action) for action in VERBS]
    fields = ()
    list_display = ["standing", "task", "queue", "attempts", "priority", "age", "owned_by", "failure"]
    list_display_links = None
    list_filter = [
        filters.Status, filters.Fingerprint, filters.Queue, filters.Handler, filters.Owner, filters.Between
    ]  # fmt: skip
    list_per_page = 100
    list_max_show_all = 0
    list_select_related = ["owner"]
    ordering = ["-id"]
    paginator = CappedPaginator
    search_fields = ["id", "name", "tags", "error", "payload"]  # Django shows the box for it; `search_tasks` searches
    search_help_text = f"An id, or words in name, tags, error and payload of the newest {READ:,} tasks that match."
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    sortable_by = ()

    # -- the list --------------------------------------------------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return TaskList

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        return search_tasks(queryset, search_term) if search_term.strip() else queryset, False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if request.method == "POST" and not self.has_operate_permission(request):
            raise PermissionDenied
        return super().changelist_view(request, extra_context)

    @admin.display(description="Status")
    def standing(self, task: Task) -> str:
        request = display.badge(f"{task.requested} requested", task.status) if task.requested else ""
        return format_html("{}{}", display.chip(task.status), request)

    @admin.display(description="Task")
    def task(self, task: Task) -> str:
        tags = display.tags(task.tags)
        return format_html(
            '{}<span class="below"><span class="mono" title="{}">{}</span>{}</span>',
            display.task_link(task.pk, mask_url(task.callback_url) or task.name),
            task.pk,
            display.short_id(task.pk),
            tags,
        )

    @admin.display(description="Attempt")
    def attempts(self, task: Task) -> str:
        return f"{task.attempt}/{task.max_attempts}"

    @admin.display(description="Age")
    def age(self, task: Task) -> str:
        return display.ago(task.created_at)

    @admin.display(description="Owner")
    def owned_by(self, task: Task) -> str:
        return task.owner.get_username() if task.owner else display.NOTHING

    @admin.display(description="Error")
    def failure(self, task: Task) -> str:
        return display.error_line(task.error)

    # -- one task --------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.operate_view)
        act = path("<path:object_id>/operate/<str:action>/", view, name="tasks_task_operate")
        return [act, *super().get_urls()]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        task, may = context["original"], self.has_operate_permission(request)
        context |= story.of(task) | {"operations": offered(task) if may else [], "title": task.name}
        return super().render_change_form(request, context, *args, **kwargs)

    def operate_view(self, request: HttpRequest, object_id: str, action: str) -> HttpResponse:
        """A button on the task's page: it acts at once, on POST only."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_operate_permission(request):
            raise PermissionDenied
        task = self.get_object(request, object_id)
        if task is None or action not in VERBS:
            raise Http404
        report = operate(self.get_queryset(request), Actions(action), [task.pk], request.user)
        confirmation.tell(request, report)
        return HttpResponseRedirect(reverse("admin:tasks_task_change", args=[task.pk]))
