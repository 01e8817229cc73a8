"""A pipeline, and the steps that it is made of. Each step that may run is a task."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from tasks.database import uuid7
from tasks.models.tasks import Task
from tasks.states import ACTIVE, FINISHED, States

WAITING = "waiting"  # the status of a step without a task: its dependencies aren't complete


class Statuses(models.TextChoices):
    """Where a pipeline is."""

    PENDING = "pending"  # no step has started yet
    PROCESSING = "processing"
    PAUSED = "paused"  # by an operator: nothing new starts
    COMPLETED = "completed"  # every step is
    FAILED = "failed"  # a step was dead-lettered or canceled, and nothing more can run
    CANCELED = "canceled"  # by an operator; what ran then is stopping, or has stopped


LIVE = (Statuses.PENDING, Statuses.PROCESSING)


class PipelineQuerySet(models.QuerySet["Pipeline"]):
    def visible_to(self, user) -> PipelineQuerySet:
        """What `user` may see: all pipelines with `view_all_tasks`, else the user's own."""
        return self if user.has_perm("tasks.view_all_tasks") else self.filter(owner_id=user.pk)

    def idle(self) -> PipelineQuerySet:
        """Live, and yet no step of theirs is on its way."""
        on_its_way = Step.objects.filter(pipeline=OuterRef("pk"), status__in=sorted(ACTIVE))
        return self.filter(~Exists(on_its_way), status__in=LIVE)

    def expired(self, before: dt.datetime) -> PipelineQuerySet:
        """Over since before that moment, and without dead letters: those wait for somebody."""
        dead = Step.objects.filter(pipeline=OuterRef("pk"), status=States.DEAD_LETTERED)
        return self.filter(~Exists(dead), finished_at__lt=before)


class Pipeline(models.Model):
    """Several steps with an order between them. Written by `tasks.pipelines` only, with its row locked."""

    class Types(models.TextChoices):
        SEQUENTIAL = "sequential"  # each step depends on the one before
        PARALLEL = "parallel"  # no step depends on another
        DAG = "dag"  # each step says what it depends on

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100)
    pipeline_type = models.CharField(max_length=10, choices=Types.choices, default=Types.SEQUENTIAL)
    status = models.CharField(max_length=10, choices=Statuses.choices, default=Statuses.PENDING)
    input = models.JSONField(null=True)
    result = models.JSONField(null=True)
    error = models.JSONField(null=True)
    current_step = models.PositiveSmallIntegerField(default=0)  # how many steps are complete
    total_steps = models.PositiveSmallIntegerField()
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="pipelines")
    version = models.PositiveIntegerField(default=1)  # of its last event in the log
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(db_default=Now())

    objects: ClassVar = PipelineQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index("status", F("id").desc(), name="pipeline_status"),
            models.Index("name", F("id").desc(), name="pipeline_name"),
            models.Index("owner", F("id").desc(), name="pipeline_owner"),
            models.Index("finished_at", name="pipeline_finished", condition=Q(finished_at__isnull=False)),
        ]
        constraints = [
            models.CheckConstraint(name="pipeline_status_known", condition=Q(status__in=Statuses.values)),
            models.CheckConstraint(
                name="pipeline_finished_at_when_over",
                condition=Q(status__in=(Statuses.COMPLETED, Statuses.FAILED), finished_at__isnull=False)
                | Q(status__in=(*LIVE, Statuses.PAUSED), finished_at__isnull=True)
                | Q(status=Statuses.CANCELED),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.id}"

    @property
    def plan(self) -> StepQuerySet:
        """The steps in order, without the tasks to be."""
        return Step.objects.filter(pipeline=self).defer("template").order_by("index")

    @property
    def is_live(self) -> bool:
        """Whether steps that become ready may start."""
        return self.status in LIVE

    @property
    def is_over(self) -> bool:
        """Whether nothing of it can run any more, unless somebody resurrects a step."""
        return self.finished_at is not None


class StepQuerySet(models.QuerySet["Step"]):
    def behind(self) -> StepQuerySet:
        """Those whose task has changed since the pipeline last looked at it. What is complete changes no more."""
        settled = (WAITING, States.COMPLETED)
        return self.exclude(status__in=settled).filter(task__version__gt=F("seen"))


class Step(models.Model):
    """One step, as its pipeline knows it: `status` and times are those of its task when the pipeline last looked."""

    STATUSES = [(WAITING, WAITING), *States.choices]

    id = models.BigAutoField(primary_key=True)
    pipeline = models.ForeignKey(Pipeline, models.CASCADE, related_name="steps", db_index=False)
    index = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=100)
    depends_on = models.JSONField(default=list)  # names of steps
    template = models.JSONField(default=dict)  # the task to be, with places for results in its payload
    task = models.OneToOneField(Task, models.PROTECT, null=True, related_name="+")
    seen = models.PositiveIntegerField(default=0)  # the task's version when the pipeline last looked
    status = models.CharField(max_length=13, choices=STATUSES, default=WAITING)
    earlier_tries = models.PositiveIntegerField(default=0)  # those before the last resurrection
    resumes = models.BooleanField(default=False)  # once its task has stopped, as it was asked to by a pause
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects: ClassVar = StepQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint("pipeline", "index", name="step_index_once"),
            models.CheckConstraint(
                name="step_waiting_without_task",
                condition=Q(status=WAITING, task__isnull=True) | (~Q(status=WAITING) & Q(task__isnull=False)),
            ),
        ]
        indexes = [
            models.Index("pipeline", name="step_moving", condition=~Q(status__in=(WAITING, States.COMPLETED))),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.pipeline_id}"

    @property
    def is_active(self) -> bool:
        """Whether its task will still move on by itself, or by whoever paused it."""
        return self.status in ACTIVE

    @property
    def has_failed(self) -> bool:
        """Whether nothing that depends on it can run, unless it is resurrected."""
        return self.status in FINISHED and self.status != States.COMPLETED
