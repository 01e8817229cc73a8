"""Signing in by a link, as `make run` prints it: in development only, once, within 15 minutes.

The link leads to a page whose button redeems it, so that a preview in a chat or a mail program does not use it up.
"""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Any

from django.conf import settings
from django.db.models.functions import Now
from django.urls import reverse

from tasks.access import digest
from tasks.database import database_now
from tasks.models import SigninLink

LIFE = dt.timedelta(minutes=15)


def make_link(user: Any) -> str:
    """A new address that signs `user` in. Raises `RuntimeError` outside development."""
    if not settings.DEVELOPMENT:
        raise RuntimeError("Sign-in links work in development only.")
    now = database_now()
    SigninLink.objects.filter(expires_at__lte=now).delete()
    raw = secrets.token_urlsafe(32)
    SigninLink.objects.create(digest=digest(raw), user=user, expires_at=now + LIFE)
    return settings.TASKHUB_BASE_URL + reverse("signin", args=[raw])


def redeem(raw: str) -> Any | None:
    """The user whom the link is for, once: whoever deletes its row. None when it is unknown, used or expired."""
    links = SigninLink.objects.filter(digest=digest(raw), expires_at__gt=Now(), user__is_active=True)
    link = links.select_related("user").first() if settings.DEVELOPMENT else None
    return link.user if link and SigninLink.objects.filter(pk=link.pk).delete()[0] else None
