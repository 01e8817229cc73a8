"""The pipelines: how far each has come, its steps, and the verbs for the whole of it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import path, reverse

from tasks.admin import display, filters
from tasks.admin.paging import CappedPaginator
from tasks.admin.rights import Listed, TaskRights
from tasks.admin.search import as_uuid
from tasks.exceptions import Conflict
from tasks.models import Pipeline
from tasks.models.pipelines import LIVE, Statuses
from tasks.operations import PIPELINE_VERBS, operate_pipeline
from tasks.states import Actions

OFFERED = {
    "retry": (Statuses.FAILED, Statuses.CANCELED),
    "cancel": (*LIVE, Statuses.PAUSED),
    "pause": LIVE,
    "resume": (Statuses.PAUSED,),
}


class Status(filters.Word):
    title = parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status, display.label(status)) for status in Statuses.values]


@admin.register(Pipeline)
class PipelineAdmin(Listed, TaskRights, admin.ModelAdmin):
    actions = None
    fields = ()
    list_display = ["pipeline", "standing", "pipeline_type", "steps", "age", "owned_by", "failure"]
    list_display_links = None
    list_filter = [Status]
    list_max_show_all = 0
    list_select_related = ["owner"]
    ordering = ["-id"]
    paginator = CappedPaginator
    search_fields = ["name"]  # Django shows the box for it
    search_help_text = "An id, or the whole name."
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return Pipeline.objects.visible_to(request.user)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        text = search_term.strip()
        return (queryset.filter(Q(pk=as_uuid(text)) | Q(name=text)) if text else queryset), False

    @admin.display(description="Status")
    def standing(self, pipeline: Pipeline) -> str:
        return display.chip(pipeline.status)

    @admin.display(description="Pipeline")
    def pipeline(self, pipeline: Pipeline) -> str:
        return display.link("admin:tasks_pipeline_change", pipeline.pk, pipeline.name)

    @admin.display(description="Steps")
    def steps(self, pipeline: Pipeline) -> str:
        return f"{pipeline.current_step} of {pipeline.total_steps}"

    @admin.display(description="Age")
    def age(self, pipeline: Pipeline) -> str:
        return display.ago(pipeline.created_at)

    @admin.display(description="Owner")
    def owned_by(self, pipeline: Pipeline) -> str:
        return pipeline.owner.get_username() if pipeline.owner else display.NOTHING

    @admin.display(description="Error")
    def failure(self, pipeline: Pipeline) -> str:
        return display.error_line(pipeline.error)

    # -- one pipeline ----------------------------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.operate_view)
        act = path("<path:object_id>/operate/<str:verb>/", view, name="tasks_pipeline_operate")
        return [act, *super().get_urls()]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        pipeline, may = context["original"], self.has_operate_permission(request)
        context |= {
            "pipeline": pipeline,
            "steps": pipeline.steps.select_related("task").order_by("index"),
            "documents": [(name, display.pretty(value)) for name, value in _documents(pipeline)],
            "operations": [verb for verb, statuses in OFFERED.items() if may and pipeline.status in statuses],
            "title": pipeline.name,
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def operate_view(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponse:
        """A button on the pipeline's page: it acts at once, on POST only."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_operate_permission(request):
            raise PermissionDenied
        pipeline = self.get_object(request, object_id)
        if pipeline is None or verb not in PIPELINE_VERBS:
            raise Http404
        try:
            after = operate_pipeline(pipeline.pk, Actions(verb), request.user)
            messages.success(request, f"{verb}: {pipeline.status} → {after.status}")
        except Conflict as conflict:
            messages.warning(request, str(conflict))
        return HttpResponseRedirect(reverse("admin:tasks_pipeline_change", args=[pipeline.pk]))


def _documents(pipeline: Pipeline) -> list[tuple[str, Any]]:
    documents = [("Input", pipeline.input), ("Result", pipeline.result), ("Error", pipeline.error)]
    return [(name, value) for name, value in documents if value is not None]
