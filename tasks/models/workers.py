"""A worker session: one process of the pool, from its start to its end, and the lease that it renews."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from tasks.database import uuid7


class Worker(models.Model):
    """A session holds its tasks as long as `expires_at` lies ahead, by the database's clock."""

    class Roles(models.TextChoices):
        PLAIN = "plain"  # runs `def` handlers, one at a time
        LOOP = "loop"  # runs callbacks and `async def` handlers, many at once

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    machine = models.CharField(max_length=100, blank=True, default="")  # where `pid` means something
    role = models.CharField(max_length=5, choices=Roles.choices)
    idle_since = models.DateTimeField(null=True)
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True)  # ended by itself, holding nothing
    lost_at = models.DateTimeField(null=True)  # declared dead, for good

    class Meta:
        indexes = [
            models.Index("expires_at", name="worker_live", condition=Q(stopped_at__isnull=True, lost_at__isnull=True))
        ]

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"
