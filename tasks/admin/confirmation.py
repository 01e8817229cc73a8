"""The page between asking for an action and its being done, and the sentence that is said afterwards.

The page carries the ids of exactly those tasks that it speaks of: what was previewed is what is done, and sending it
twice does nothing more, because the second time no state allows it.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from tasks.admin.display import chip, short_id, task_link
from tasks.admin.operations import LIMIT, Report, candidates, operate
from tasks.admin.paging import CAP, counted
from tasks.models import Task
from tasks.models.tasks import TaskQuerySet
from tasks.states import TABLE, Actions

SAMPLE = 10  # tasks that the preview shows
LISTED = 10  # refusals that the outcome names
DONE = {
    Actions.RETRY: "retried",
    Actions.RESURRECT: "resurrected",
    Actions.CANCEL: "canceled",
    Actions.PAUSE: "paused",
    Actions.RESUME: "resumed",
}


@dataclass(frozen=True, slots=True)
class Preview:
    """What `action` would do. `ids` is what the form carries, `able` how many tasks there are that it can change."""

    action: Actions
    whole: bool  # everything that matches was meant, not tasks that were ticked one by one
    ids: Sequence[uuid.UUID]
    able: int
    others: dict[str, int]  # tasks that were meant too, in states that don't allow it
    sample: list[Task]

    @property
    def now(self) -> int:
        """How many tasks one confirmation changes at most."""
        return min(self.able, LIMIT)

    @property
    def is_capped(self) -> bool:
        return self.able > CAP

    @property
    def joined(self) -> str:
        return ",".join(map(str, self.ids))


def preview(tasks: TaskQuerySet, action: Actions, whole: bool) -> Preview:
    able = tasks.filter(status__in=TABLE[action])
    ids = meant(tasks, action, whole)
    sample = able.filter(pk__in=ids[:SAMPLE] if whole else ids).select_related("owner").order_by("pk")[:SAMPLE]
    return Preview(action, whole, ids, counted(able, CAP + 1), _others(tasks, action), list(sample))


def meant(tasks: TaskQuerySet, action: Actions, whole: bool) -> list[uuid.UUID]:
    """Ticked tasks all, so that the outcome can say what became of each; of a whole set those that it can change."""
    return candidates(tasks, action) if whole else list(tasks.order_by("pk").values_list("pk", flat=True)[:LIMIT])


def _others(tasks: TaskQuerySet, action: Actions) -> dict[str, int]:
    """By state; counted only as far as one confirmation could reach."""
    rest = tasks.exclude(status__in=TABLE[action]).order_by().values_list("status", flat=True)[:LIMIT]
    return dict(Counter(rest).most_common())


def page(
    request: HttpRequest, section: Any, tasks: TaskQuerySet, action: Actions, whole: bool, **context: Any
) -> TemplateResponse:
    """The preview. Its form posts to the address at which it is shown, for `act` to read."""
    request.current_app = section.admin_site.name
    defaults = {
        "title": f"{action.capitalize()} tasks",
        "opts": section.opts,
        "preview": preview(tasks, action, whole),
        "back": request.get_full_path(),
    }
    context = section.admin_site.each_context(request) | defaults | context
    return TemplateResponse(request, "admin/tasks/confirmation.html", context)


def is_confirmed(request: HttpRequest) -> bool:
    return request.method == "POST" and "post" in request.POST


def act(request: HttpRequest, section: Any, tasks: TaskQuerySet, action: Actions, whole: bool) -> Report:
    """Do what the page announced, to the tasks that it named, whether or not they still match what it was made from.

    A program that posts without having seen the page means what it would have named.
    """
    listed = request.POST.get("tasks")
    ids = meant(tasks, action, whole) if listed is None else _ids(listed)
    report = operate(section.get_queryset(request), action, ids[: _limit(request)], request.user)
    tell(request, report)
    return report


def _ids(listed: str) -> list[uuid.UUID]:
    try:
        ids = [uuid.UUID(text) for text in listed.split(",") if text]
    except ValueError:
        raise BadRequest("tasks: not a list of ids.") from None
    if len(ids) > LIMIT:
        raise BadRequest(f"tasks: more than {LIMIT}.")
    return ids


def _limit(request: HttpRequest) -> int:
    """How many of them, oldest first: the reader may want to try a few."""
    text = request.POST.get("limit") or str(LIMIT)
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= LIMIT):
        raise BadRequest(f"limit: not a number from 1 to {LIMIT}.")
    return int(text)


# -- the outcome ---------------------------------------------------------------------------------------------------


def tell(request: HttpRequest, report: Report) -> None:
    done = (report.changed or report.asked) and not (report.refused or report.left)
    messages.add_message(request, messages.SUCCESS if done else messages.WARNING, outcome(report))


def outcome(report: Report) -> SafeString:
    """ "Resurrected 12, 3 were not in a state that allows it: ..." """
    said = [f"{DONE[report.action]} {report.changed:,}"] if report.changed or not report.asked else []
    said += [f"asked {report.asked:,} that run to {report.action}"] if report.asked else []
    said += [f"the time was too short for {report.left:,}: do it again for them"] if report.left else []
    sentence = ", ".join(said).capitalize()
    if not report.refused:
        return format_html("{}.", sentence)
    were = "was" if len(report.refused) == 1 else "were"
    more = len(report.refused) - LISTED
    return format_html(
        "{}, {} {} not in a state that allows it: {}{}",
        sentence,
        f"{len(report.refused):,}",
        were,
        _listed(report),
        f" and {more:,} more." if more > 0 else "",
    )


def _listed(report: Report) -> SafeString:
    rows = (
        (task_link(refusal.task.pk, short_id(refusal.task.pk)), refusal.task.name, chip(refusal.task.status))
        for refusal in report.refused[:LISTED]
    )
    return format_html('<ul class="refused">{}</ul>', format_html_join("", "<li>{} {} {}</li>", rows))
