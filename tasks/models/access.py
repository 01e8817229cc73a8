"""What people and programs sign in with, and the keys that make a repeated request harmless.

Secrets are never stored: each row holds the SHA-256 of a random value of 256 bits.
"""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from tasks.database import uuid7


class Token(models.Model):
    """A long-lived credential for the API. Its rights are its scopes, cut to what its user may do."""

    class Scopes(models.TextChoices):
        SUBMIT = "submit"
        READ = "read"
        OPERATE = "operate"
        ADMIN = "admin"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, blank=True, default="")
    prefix = models.CharField(max_length=12)  # the first characters, to recognise it by
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.prefix}… of {self.user}"


class CallbackSecret(models.Model):
    """What an owner's callbacks are signed with, instead of the hub's secret. It has to be kept as it is."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="callback_secret"
    )
    secret = models.CharField(max_length=500)  # one or, while it is being replaced, several with spaces between them

    def __str__(self) -> str:
        return f"callback secret of {self.user}"


class StreamTicket(models.Model):
    """A single-use key to one WebSocket, with the rights of what it was made with."""

    digest = models.CharField(max_length=64, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    token = models.ForeignKey(Token, models.CASCADE, null=True)
    session_key = models.CharField(max_length=40, blank=True, default="")
    scopes = models.JSONField(default=list)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"ticket of {self.user}"


class SigninLink(models.Model):
    """A single-use sign-in by link, in development only."""

    digest = models.CharField(max_length=64, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"link for {self.user}"


class IdempotencyKey(models.Model):
    """A request that was made once already: who, which route, which key, and what came of it."""

    KEPT = dt.timedelta(hours=24)

    principal = models.CharField(max_length=100)  # whose key it is
    route = models.CharField(max_length=100)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)  # SHA-256 of the canonical body
    task_ids = models.JSONField(default=list)  # or those of pipelines: of what the route creates
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint("principal", "route", "key", name="idempotency_key_once")]
        indexes = [models.Index("created_at", name="idempotency_created")]

    def __str__(self) -> str:
        return f"{self.route} {self.key}"
