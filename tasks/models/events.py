"""The append-only log of everything that happened, and the counts that are kept with it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from tasks.states import Actions, States


class TaskEvent(models.Model):
    """One change of one task or one pipeline: its history, the audit, and what the live stream replays.

    An event of a pipeline has no `task_id`, and `status` and `version` are the pipeline's; one of a step's task names
    both, and is the task's.

    It repeats what a reader needs (name, queue, owner), so that the feed never has to join the task.
    """

    class Types(models.TextChoices):
        CREATED = "task_created"
        UPDATED = "task_updated"
        PROGRESS = "task_progress"
        PIPELINE_STARTED = "PipelineStartEvent"
        STEP_STARTED = "StepStartEvent"
        STEP_COMPLETED = "StepCompleteEvent"
        STEP_FAILED = "StepErrorEvent"
        PIPELINE_COMPLETED = "PipelineCompleteEvent"
        PIPELINE_FAILED = "PipelineErrorEvent"
        PIPELINE_PROGRESS = "pipeline_progress"

    id = models.BigAutoField(primary_key=True)
    type = models.CharField(max_length=32)
    task_id = models.UUIDField(null=True)  # no foreign key: the log outlives what it tells of
    pipeline_id = models.UUIDField(null=True)
    version = models.PositiveIntegerField()
    action = models.CharField(max_length=10, choices=Actions.choices, blank=True, default="")
    previous_status = models.CharField(max_length=13, choices=States.choices, null=True)
    status = models.CharField(max_length=13, choices=States.choices)
    attempt = models.PositiveIntegerField(default=0)
    actor = models.CharField(max_length=200, blank=True, default="")
    message = models.CharField(max_length=500, blank=True, default="")
    data = models.JSONField(default=dict)  # by type: error, result, requested; percent, message
    name = models.CharField(max_length=100)
    queue = models.CharField(max_length=100)
    owner_id = models.BigIntegerField(null=True)
    timestamp = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "event"
        constraints = [
            models.UniqueConstraint(
                fields=["task_id", "version"], name="event_version_once", condition=Q(task_id__isnull=False)
            ),
            models.UniqueConstraint(
                fields=["pipeline_id", "version"],
                name="event_of_pipeline_once",
                condition=Q(task_id__isnull=True, pipeline_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.task_id or self.pipeline_id} v{self.version}"


class QueueCount(models.Model):
    """A change in how many tasks of a queue are in a status. The sum over all rows is the exact count.

    One set of rows is added with each transaction; a sweep folds them into one row each (`tasks.counts`).
    """

    id = models.BigAutoField(primary_key=True)
    queue = models.CharField(max_length=100)
    status = models.CharField(max_length=13, choices=States.choices)
    n = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.queue} {self.status} {self.n:+}"


class OwnerCount(models.Model):
    """A change in how many tasks of an owner are in the backlog: kept as `QueueCount` is."""

    id = models.BigAutoField(primary_key=True)
    owner_id = models.BigIntegerField()
    n = models.BigIntegerField()

    class Meta:
        indexes = [models.Index("owner_id", "n", name="ownercount_owner")]

    def __str__(self) -> str:
        return f"{self.owner_id} {self.n:+}"
