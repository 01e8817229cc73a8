"""How templates say things. Everything is escaped: names, payloads and errors are the users' own words."""

from __future__ import annotations

import json
import re
from typing import Any

from django import template
from django.template.context import Context
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode

from tasks.dashboard import moments, offers
from tasks.dashboard.listing import Listing
from tasks.masking import mask, mask_url
from tasks.models import Pipeline, Step, Task, TaskEvent
from tasks.models.pipelines import Statuses
from tasks.states import Actions, States

register = template.Library()

WHEN = {
    States.PENDING: ("due", "run_at"),
    States.FAILED: ("retry", "run_at"),
    States.PROCESSING: ("for", "started_at"),
    States.PAUSED: ("ago", "updated_at"),
}


@register.simple_tag(takes_context=True)
def operations(context: Context, task: Task) -> list[Actions]:
    """What the reader may do with the task as it is."""
    return offers.operations(context["reader"], task)


@register.simple_tag
def statuses() -> list[str]:
    """All of them, in the order of a task's life."""
    return States.values


@register.simple_tag
def newest(shown: Listing) -> str:
    """The first page under the same filters."""
    return f"{reverse('dashboard')}?{urlencode(shown.filters)}"


@register.simple_tag
def when(task: Task) -> str:
    """The one time that matters in the task's state: since when, or until when."""
    kind, field = WHEN.get(States(task.status), ("ago", "finished_at"))
    return moment(getattr(task, field) or task.updated_at, kind)


@register.simple_tag
def moment(value: Any, kind: str = "ago") -> str:
    """A time in words, which the page keeps true; the exact one is its title."""
    if value is None:
        return ""
    words = moments.said(kind, (timezone.now() - value).total_seconds())
    exact = f"{value:%Y-%m-%d %H:%M:%S} UTC"
    return format_html(
        '<time datetime="{}" data-moment="{}" title="{}">{}</time>', value.isoformat(), kind, exact, words
    )


@register.simple_tag
def since(pipeline: Pipeline) -> str:
    """The one time that matters in the pipeline's status."""
    if pipeline.status == Statuses.PENDING:
        return moment(pipeline.created_at)
    if pipeline.status == Statuses.PROCESSING:
        return moment(pipeline.started_at, "for")
    return moment(pipeline.finished_at or pipeline.updated_at)


@register.filter
def took(task: Any) -> str:
    """How long a task or an attempt ran."""
    if not (task.started_at and task.finished_at):
        return ""
    return moments.duration((task.finished_at - task.started_at).total_seconds())


@register.filter
def seconds(value: float) -> str:
    return moments.duration(value)


@register.filter
def label(word: str) -> str:
    """`dead_lettered` as "Dead-lettered"."""
    return word.replace("_", "-").capitalize()


@register.filter
def count(number: int | None) -> str:
    return f"{number or 0:,}"


@register.filter
def at(mapping: dict[str, Any] | None, key: str) -> Any:
    return (mapping or {}).get(key)


@register.filter
def percent(number: float | None) -> int:
    """In whole percent, rounded down: 100 is done."""
    return int(number or 0)


@register.filter
def signed(number: int) -> str:
    return f"{number:+}"


@register.filter
def short_id(value: Any) -> str:
    """The end of an id: of a UUIDv7 that is its random part."""
    return str(value)[-12:]


@register.filter
def pretty(value: Any) -> str:
    """JSON to be read. Not to be marked safe."""
    return json.dumps(value, indent=2, ensure_ascii=False)


@register.filter
def compact(value: Any) -> str:
    """JSON in one line."""
    return json.dumps(value, ensure_ascii=False)


@register.filter
def masked(value: Any) -> Any:
    """JSON without its secrets."""
    return mask(value)


TOLD = {
    Actions.CLAIM: "Started",
    Actions.COMPLETE: "Completed",
    Actions.FAIL: "Failed",
    Actions.BURY: "Dead-lettered",
    Actions.SNOOZE: "Snoozed",
    Actions.RELEASE: "Given back",
    Actions.RESCUE: "Rescued",
    Actions.RETRY: "Retried",
    Actions.RESURRECT: "Resurrected",
    Actions.CANCEL: "Canceled",
    Actions.PAUSE: "Paused",
    Actions.RESUME: "Resumed",
}


@register.filter
def told(event: TaskEvent) -> str:
    """What happened, in a word or two."""
    if event.type == TaskEvent.Types.CREATED:
        return "Created"
    return TOLD[Actions(event.action)] if event.action else (event.message or "Changed").capitalize()


OUTCOME_GLYPHS = {"snoozed": "pending", "released": "pending", "lost": "dead_lettered"}


@register.filter
def status_of_outcome(outcome: str) -> str:
    """The status whose glyph an attempt's outcome goes by."""
    return OUTCOME_GLYPHS.get(outcome, outcome)


@register.filter
def title(task: Task) -> str:
    """What a task is called: its handler, or where its callback goes."""
    return re.sub(r"^https?://", "", mask_url(task.callback_url)) if task.is_callback else task.name


@register.filter
def shown_url(task: Task) -> str:
    return mask_url(task.callback_url)


# -- pipelines -----------------------------------------------------------------------------------------------------

Types = TaskEvent.Types
OF_PIPELINE = {  # the status that an event shows, and what it says
    Types.PIPELINE_STARTED: (States.PROCESSING, "Pipeline started"),
    Types.STEP_STARTED: (States.PROCESSING, "{} started"),
    Types.STEP_COMPLETED: (States.COMPLETED, "{} completed"),
    Types.STEP_FAILED: (States.DEAD_LETTERED, "{} failed"),
    Types.PIPELINE_COMPLETED: (States.COMPLETED, "Pipeline completed"),
    Types.PIPELINE_FAILED: (States.FAILED, "Pipeline ended"),
}


@register.filter
def status_of_event(event: TaskEvent) -> str:
    return OF_PIPELINE[Types(event.type)][0]


@register.filter
def told_of_pipeline(event: TaskEvent) -> str:
    """What happened to a pipeline, in a word or two."""
    return OF_PIPELINE[Types(event.type)][1].format(event.data.get("step_name", ""))


NOTE = 24  # characters of a message that fit into a drawn step; `pipeline.js` cuts there, too


@register.filter
def note(step: Step) -> str:
    """What a drawn step says under its name."""
    if step.status == States.COMPLETED:
        return took(step) or label(step.status)
    if step.task and step.status == States.PROCESSING and step.task.progress_message:
        return step.task.progress_message[:NOTE]
    if step.task and step.status in (States.PROCESSING, States.FAILED) and step.task.attempt > 1:
        return f"{label(step.status)}, attempt {step.task.attempt} of {step.task.max_attempts}"
    return label(step.status)


@register.filter
def done(step: Step, width: int) -> int:
    """How much of `width` a running step has done."""
    return int((step.task.percent or 0) / 100 * width) if step.task and step.status == States.PROCESSING else 0


@register.filter
def milliseconds(number: int) -> str:
    return moments.duration(number / 1000)


@register.filter
def unlocalized(number: float) -> str:
    """A number for SVG, whatever the language of the page."""
    return f"{number:g}"
