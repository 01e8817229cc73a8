"""What narrows the lists: one word of the address for each, the same words as in the API."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from tasks import counts, registry
from tasks.admin.display import label
from tasks.database import least_id
from tasks.models.tasks import CALLBACK
from tasks.states import States

USERS = 50  # names that the filter by owner offers; an address may name any user
NOBODY = "-"


class Word(admin.SimpleListFilter):
    """One value of one column. The address may name others than those that are offered."""

    title = parameter_name = ""
    template = "admin/tasks/filter.html"

    @property
    def said(self) -> str | None:
        return self.value()

    def value(self) -> str | None:
        value = super().value()
        if value and "\0" in value:
            raise IncorrectLookupParameters
        return value

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(**{self.parameter_name: self.value()}) if self.value() else rows


class Status(Word):
    """The strip above the list: each state, with how many tasks it has when nothing but the queue narrows the list."""

    title = parameter_name = "status"
    template = "admin/tasks/status_filter.html"
    is_strip = True

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.may_count = request.user.has_perm("tasks.view_all_tasks")

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status, label(status)) for status in States.values]

    def choices(self, changelist: Any) -> Iterator[Any]:
        tallies = self._tallies(changelist)
        for choice, (status, _) in zip(super().choices(changelist), [("", ""), *self.lookup_choices], strict=True):
            count = tallies[status] if status else tallies.total()
            yield {**choice, "status": status, "count": count if self._counts(changelist) else None}

    def _counts(self, changelist: Any) -> bool:
        return self.may_count and not set(changelist.filter_params) - {"status", "queue"}

    def _tallies(self, changelist: Any) -> Counter[str]:
        tallies: Counter[str] = Counter()
        if self._counts(changelist):
            for (queue, status), n in counts.totals().items():
                tallies[status] += n if changelist.params.get("queue", queue) == queue else 0
        return tallies


class Queue(Word):
    title = parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in sorted({queue for queue, _ in counts.totals()})]


class Handler(Word):
    title, parameter_name = "handler", "name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = [handler.name for handler in registry.handlers()]
        return [(name, name) for name in [*names, CALLBACK]]


class Owner(Word):
    title = parameter_name = "owner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        if not request.user.has_perm("tasks.view_all_tasks"):
            return []
        field = get_user_model().USERNAME_FIELD
        names = get_user_model()._default_manager.order_by(field).values_list(field, flat=True)[:USERS]
        return [(name, name) for name in names] + [(NOBODY, "nobody")]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return rows
        if self.value() == NOBODY:
            return rows.filter(owner=None)
        return rows.filter(owner__in=get_user_model()._default_manager.filter(username=self.value()))


class Fingerprint(Word):
    """Which error. It is reached from the dead letters; in the list it can only be taken off."""

    title = parameter_name = "error"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value)] if (value := self.value()) else []

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(fingerprint=self.value()) if self.value() else rows


class Between(admin.ListFilter):
    """A span of time: `created_after` and `created_before`, each a date, a date and time, or an age such as `24h`."""

    title = "created"
    template = "admin/tasks/filter.html"
    ages = {"1h": "Past hour", "24h": "Past 24 hours", "7d": "Past 7 days", "30d": "Past 30 days"}

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        names = self.expected_parameters()
        self.used_parameters = {name: params.pop(name)[-1] for name in names if name in params}
        self.after, self.before = (str(self.used_parameters.get(name, "")) for name in names)
        self.others = [(name, value) for name, value in request.GET.items() if name not in (*names, "p")]

    @property
    def said(self) -> str:
        if self.after in self.ages and not self.before:
            return self.ages[self.after].lower()
        return " to ".join((self.after or "…", self.before or "now")) if self.after or self.before else ""

    @property
    def fields(self) -> list[tuple[str, str, str]]:
        """The inputs of the form: name, word, and the value if it is none of the ages."""
        values = ("" if value[-1:].isalpha() else value for value in (self.after, self.before))
        return list(zip(self.expected_parameters(), ("From", "Before"), values, strict=True))

    def expected_parameters(self) -> list[Any]:
        return ["created_after", "created_before"]

    def has_output(self) -> bool:
        return True

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        names = self.expected_parameters()
        yield {
            "selected": not self.used_parameters,
            "query_string": changelist.get_query_string(remove=names),
            "display": "Any time",
        }
        for age, words in self.ages.items():
            yield {
                "selected": self.after == age and not self.before,
                "query_string": changelist.get_query_string({names[0]: age}, [names[1]]),
                "display": words,
            }

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        if self.after:
            rows = rows.filter(created_from(moment(self.after)))
        if self.before:
            rows = rows.filter(created_until(moment(self.before)))
        return rows


def moment(text: str) -> dt.datetime:
    """What the reader means by `text`; without an offset it is UTC."""
    units = {"m": "minutes", "h": "hours", "d": "days"}
    if text[:-1].isascii() and text[:-1].isdigit() and text[-1] in units and len(text) < 6:
        return timezone.now() - dt.timedelta(**{units[text[-1]]: int(text[:-1])})
    try:
        day = parse_date(text)
        found = dt.datetime.combine(day, dt.time()) if day else parse_datetime(text)
    except ValueError:
        found = None
    if found is None or not 1970 < found.year < 9999:  # beyond that a margin or an offset would overflow
        raise IncorrectLookupParameters
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


# Ids begin with the time of their creation, to the millisecond of the clock of whoever submitted. With a margin for
# that clock they bound what has to be read, so that `created_at` needs no index of its own.
MARGIN = dt.timedelta(hours=1)


def created_from(moment: dt.datetime) -> Q:
    return Q(created_at__gte=moment, pk__gte=least_id(moment - MARGIN))


def created_until(moment: dt.datetime) -> Q:
    return Q(created_at__lt=moment, pk__lt=least_id(moment + MARGIN))
