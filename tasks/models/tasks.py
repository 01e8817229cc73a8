"""A task, the record of its tries, its log lines, and its queue."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from tasks.database import uuid7
from tasks.models.workers import Worker
from tasks.retry import RetryPolicy
from tasks.states import FINISHED, WAITING, States

OWNED = Q(owner__isnull=False)
CALLBACK = "callback"  # the name of every task that is an HTTP callback instead of a Python handler


class TaskQuerySet(models.QuerySet["Task"]):
    def visible_to(self, user) -> TaskQuerySet:
        """What `user` may see: all tasks with `view_all_tasks`, else the user's own."""
        return self if user.has_perm("tasks.view_all_tasks") else self.filter(owner_id=user.pk)

    def waiting(self) -> TaskQuerySet:
        return self.filter(status__in=WAITING)

    def processing(self) -> TaskQuerySet:
        return self.filter(status=States.PROCESSING)

    def ready(self) -> TaskQuerySet:
        """Due and waiting, the most urgent first: the order in which workers take them."""
        return self.filter(ready=True).order_by("-priority", "run_at", "id")

    def dead_lettered(self) -> TaskQuerySet:
        return self.filter(status=States.DEAD_LETTERED)

    def expired(self, before: dt.datetime) -> TaskQuerySet:
        """Over since before that moment, and no dead letter: those wait for somebody. Steps go with their pipeline."""
        return self.filter(finished_at__lt=before, pipeline=None).exclude(status=States.DEAD_LETTERED)


class Task(models.Model):
    """One piece of work and where it stands. Written by `tasks.lifecycle` only."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100)
    queue = models.CharField(max_length=100, default="default")
    priority = models.SmallIntegerField(default=0)
    payload = models.JSONField(default=dict)
    tags = models.JSONField(default=list)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="tasks", db_index=False
    )
    pipeline = models.ForeignKey("tasks.Pipeline", models.PROTECT, null=True, related_name="tasks", db_index=False)
    step = models.CharField(max_length=100, null=True)  # its name within the pipeline

    callback_url = models.CharField(max_length=2048, blank=True, default="")
    callback_method = models.CharField(max_length=5, blank=True, default="")
    callback_headers = models.JSONField(default=dict)

    status = models.CharField(max_length=13, choices=States.choices, default=States.PENDING)
    requested = models.CharField(max_length=6, null=True, choices=[("cancel", "cancel"), ("pause", "pause")])
    version = models.PositiveIntegerField(default=1)
    run_at = models.DateTimeField()
    ready = models.BooleanField(default=False)  # run_at has come, as the claim's index sees it

    attempt = models.PositiveIntegerField(default=0)  # tries of the present budget
    max_attempts = models.PositiveIntegerField(default=10)
    tries = models.PositiveIntegerField(default=0)  # all tries ever: the number of the last Attempt
    crashes = models.PositiveSmallIntegerField(default=0)  # charged: this task's process died with it
    rescues = models.PositiveSmallIntegerField(default=0)  # uncharged: it was one of several
    retry_delay = models.FloatField(default=5)
    retry_factor = models.FloatField(default=2)
    retry_max_delay = models.FloatField(default=3600)
    retry_jitter = models.FloatField(default=0.5)
    timeout = models.FloatField(default=300)
    timeout_is_own = models.BooleanField(default=True)  # the submission said it; a default is longer once deferred

    # No constraint in the database, which would look for each task of a claim: the claim itself looks once.
    worker = models.ForeignKey(
        Worker, models.PROTECT, null=True, related_name="tasks", db_index=False, db_constraint=False
    )
    lease = models.UUIDField(null=True)  # the fence: every write of an attempt names it
    deferred_until = models.DateTimeField(null=True)  # a receiver finishes it later; no worker holds it

    percent = models.FloatField(null=True)
    progress_message = models.CharField(max_length=500, blank=True, default="")
    eta = models.DateTimeField(null=True)  # when the attempt that runs will probably be through; null: nobody knows
    state = models.JSONField(default=dict)  # ctx.state: what later attempts find
    result = models.JSONField(null=True)
    error = models.JSONField(null=True)
    fingerprint = models.CharField(max_length=16, blank=True, default="")

    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(db_default=Now())

    objects: ClassVar = TaskQuerySet.as_manager()

    class Meta:
        permissions = [
            ("view_all_tasks", "Can see everybody's tasks"),
            ("submit_tasks", "Can submit tasks"),
            ("operate_tasks", "Can retry, resurrect, cancel, pause and resume tasks"),
            ("view_queues", "Can see the state of all queues"),
            ("operate_queues", "Can pause and resume queues"),
            ("view_workers", "Can see the workers"),
            ("view_metrics", "Can read the metrics"),
        ]
        indexes = [
            models.Index(F("priority").desc(), "run_at", "id", name="task_ready", condition=Q(ready=True)),
            models.Index("name", "queue", "crashes", "rescues", name="task_ready_name", condition=Q(ready=True)),
            models.Index("queue", "run_at", name="task_oldest", condition=Q(ready=True)),
            models.Index("run_at", name="task_not_ready", condition=Q(ready=False, status__in=sorted(WAITING))),
            models.Index("worker", name="task_held", condition=Q(worker__isnull=False)),
            models.Index("deferred_until", name="task_deferred", condition=Q(deferred_until__isnull=False)),
            models.Index("status", F("id").desc(), name="task_status"),
            models.Index("queue", "status", F("id").desc(), name="task_queue"),
            models.Index("name", F("id").desc(), name="task_name"),
            models.Index("owner", F("id").desc(), name="task_owner", condition=OWNED),
            models.Index("owner", "status", F("id").desc(), name="task_owner_status", condition=OWNED),
            models.Index("fingerprint", F("id").desc(), name="task_fingerprint", condition=~Q(fingerprint="")),
            models.Index("finished_at", name="task_finished", condition=Q(finished_at__isnull=False)),
            # With the status, which the condition fixes: SQLite answers from an index only what is written in it. And
            # with a condition that a list does not have: else SQLite would take it there, and sort all dead letters.
            models.Index(
                "status",
                "fingerprint",
                "finished_at",
                name="task_dead",
                condition=Q(status=States.DEAD_LETTERED, finished_at__isnull=False),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["pipeline", "step"], name="task_step_once", condition=Q(pipeline__isnull=False)
            ),
            models.CheckConstraint(name="task_status_known", condition=Q(status__in=States.values)),
            models.CheckConstraint(name="task_attempt_within_budget", condition=Q(attempt__lte=F("max_attempts"))),
            models.CheckConstraint(name="task_version_positive", condition=Q(version__gte=1)),
            models.CheckConstraint(
                name="task_lease_while_processing",
                condition=Q(status=States.PROCESSING, lease__isnull=False)
                | (~Q(status=States.PROCESSING) & Q(lease__isnull=True, worker__isnull=True)),
            ),
            models.CheckConstraint(
                name="task_finished_at_when_finished",
                condition=Q(status__in=sorted(FINISHED), finished_at__isnull=False)
                | (~Q(status__in=sorted(FINISHED)) & Q(finished_at__isnull=True)),
            ),
            models.CheckConstraint(
                name="task_ready_while_waiting", condition=Q(ready=False) | Q(status__in=sorted(WAITING))
            ),
            models.CheckConstraint(
                name="task_requested_while_processing",
                condition=Q(requested__isnull=True) | Q(status=States.PROCESSING),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.id}"

    @property
    def present_lease(self) -> uuid.UUID:
        """The lease of a task that is being processed."""
        assert self.lease is not None
        return self.lease

    @property
    def standing(self) -> str:
        """The status, and what is asked of a task that runs: "processing (cancel requested)"."""
        return f"{self.status} ({self.requested} requested)" if self.requested else self.status

    @property
    def is_callback(self) -> bool:
        return bool(self.callback_url)

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED

    @property
    def is_last_attempt(self) -> bool:
        return self.attempt >= self.max_attempts

    @property
    def retry_policy(self) -> RetryPolicy:
        return RetryPolicy(self.retry_delay, self.retry_factor, self.retry_max_delay, self.retry_jitter)


class DeadLetter(Task):
    """The same rows seen as what awaits a person: a place of its own in the admin."""

    objects: ClassVar = TaskQuerySet.as_manager()

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = "dead letter"


class Attempt(models.Model):
    """How one try ended, written once at its end. The try that runs now is on the task itself."""

    class Outcomes(models.TextChoices):
        COMPLETED = "completed"
        FAILED = "failed"
        SNOOZED = "snoozed"
        RELEASED = "released"
        LOST = "lost"  # its worker died or its lease ran out
        CANCELED = "canceled"
        PAUSED = "paused"

    task = models.ForeignKey(Task, models.CASCADE, related_name="attempts", db_index=False)  # the constraint has one
    number = models.PositiveIntegerField()  # only grows, over resurrections too
    outcome = models.CharField(max_length=9, choices=Outcomes.choices)
    worker_id = models.UUIDField(null=True)
    lease = models.UUIDField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField()
    error = models.JSONField(null=True)
    response = models.JSONField(null=True)  # of an HTTP callback: status, headers, body
    late = models.JSONField(null=True)  # what a worker reported after it had lost the lease: kept, never applied

    class Meta:
        constraints = [models.UniqueConstraint("task", "number", name="attempt_number_once")]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.task_id}"


class TaskLog(models.Model):
    """One line that a handler logged."""

    task = models.ForeignKey(Task, models.CASCADE, related_name="logs", db_index=False)
    seq = models.PositiveIntegerField()
    number = models.PositiveIntegerField()  # of the attempt
    level = models.CharField(max_length=8)
    message = models.CharField(max_length=4096)
    timestamp = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint("task", "seq", name="log_seq_once")]

    def __str__(self) -> str:
        return f"{self.level} {self.message}"


class HandlerDuration(models.Model):
    """How long a handler usually takes (`tasks.durations`)."""

    name = models.CharField(max_length=100, primary_key=True)
    mean = models.FloatField()  # seconds

    def __str__(self) -> str:
        return f"{self.name}: {self.mean:g} s"


class Queue(models.Model):
    """What an operator has said of a queue. A queue without a row is an ordinary one."""

    name = models.CharField(max_length=100, primary_key=True)
    paused_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name
