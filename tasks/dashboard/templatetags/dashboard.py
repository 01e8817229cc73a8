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
from tasks.models import Task, TaskEvent
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
