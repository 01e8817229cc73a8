"""Pages of tables that may hold millions of rows: nothing here counts them all."""

from __future__ import annotations

from typing import Any, cast

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property

CAP = 10_000  # rows that are counted and paged through; beyond that a reader needs a filter, not page 101


class CappedPaginator(Paginator):
    """Knows up to `CAP` rows, and whether there are more."""

    @cached_property
    def count(self) -> int:
        return min(self._seen, CAP)

    @property
    def has_more(self) -> bool:
        return self._seen > CAP

    @cached_property
    def _seen(self) -> int:
        return counted(cast("QuerySet[Any]", self.object_list), CAP + 1)


def counted(rows: QuerySet[Any], cap: int) -> int:
    """How many rows there are, or `cap` when there are at least so many."""
    return rows.order_by().values("pk")[:cap].count()
