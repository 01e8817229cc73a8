"""How the admin writes things down. Everything is escaped: names, payloads and errors are the users' own words."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from tasks.masking import mask
from tasks.models import TaskEvent

NOTHING = "\N{EN DASH}"
LINE = 200  # characters of an error that a list shows


def label(word: str) -> str:
    """`dead_lettered` as "Dead-lettered"."""
    return word.replace("_", "-").capitalize()


def chip(status: str) -> SafeString:
    """A status as the dashboard draws it: a glyph of its own shape and colour, and the word."""
    return format_html(
        '<span class="chip" data-status="{0}"><svg class="glyph" aria-hidden="true"><use href="#status-{0}"/></svg>'
        "<span>{1}</span></span>",
        status,
        label(status),
    )


def badge(word: str, status: str) -> SafeString:
    """A small word in the colour of a status."""
    return format_html('<span class="badge" data-status="{}">{}</span>', status, word)


def ago(moment: dt.datetime | None) -> str:
    """How long ago, in the largest unit; the exact time is its title."""
    if moment is None:
        return NOTHING
    now = timezone.now()
    span = _span(*sorted((moment, now)))
    words = f"in {span}" if moment > now else f"{span} ago"
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact(moment), words)


def _span(start: dt.datetime, end: dt.datetime) -> str:
    seconds = int((end - start).total_seconds())
    return f"{seconds}\N{NO-BREAK SPACE}s" if seconds < 60 else timesince(start, end, depth=1)


def what(event: TaskEvent) -> str:
    """What happened: the verb, or `created` and `progress`."""
    return event.action or event.type.removeprefix("task_")


def exact(moment: dt.datetime | None) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC" if moment else NOTHING


def pretty(value: Any) -> str:
    """JSON to be read, its secrets masked. Plain text: whoever shows it escapes it."""
    return json.dumps(mask(value), indent=2, ensure_ascii=False)


def error_line(error: dict[str, Any] | None) -> str:
    """What went wrong, on one line."""
    if not error:
        return NOTHING
    detail = first_line(error.get("detail", ""))
    return format_html('<span class="error" title="{1}"><b>{0}</b> {1}</span>', error.get("type", ""), detail)


def first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:LINE]


def tags(words: Iterable[str]) -> SafeString:
    return format_html_join("", '<span class="tag">{}</span>', ((word,) for word in words))


def task_link(task_id: Any, text: Any) -> SafeString:
    return link("admin:tasks_task_change", task_id, text)


def link(view: str, key: Any, text: Any) -> SafeString:
    """To the page of one row."""
    return format_html('<a href="{}">{}</a>', reverse(view, args=[key]), text)


def short_id(value: Any) -> str:
    """The end of an id: of a UUIDv7 that is its random part."""
    return str(value)[-12:]


def code(value: Any) -> SafeString:
    return format_html('<pre class="code">{}</pre>', pretty(value))
