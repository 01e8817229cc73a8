"""Facts about the hub itself."""

from __future__ import annotations

from django.db import models


class Marker(models.Model):
    """A named position or fact that must survive restarts: the log's epoch, how far a sweep has read."""

    name = models.CharField(max_length=50, primary_key=True)
    value = models.JSONField(default=dict)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name


class RateWindow(models.Model):
    """How many requests somebody has made in the minute that began with the first of them (`tasks.api.limits`).

    Used on PostgreSQL without Redis, where the table is not logged: a crash may forget the counts.
    """

    key = models.CharField(max_length=50, primary_key=True)
    count = models.PositiveIntegerField()
    ends_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.key}: {self.count}"
