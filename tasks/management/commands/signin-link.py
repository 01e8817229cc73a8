"""`manage.py signin-link [USER]`: another one-time link. Development only."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tasks import signin


class Command(BaseCommand):
    help = "Print a link that signs a user in, once, within 15 minutes. In development only."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", nargs="?", default="admin", metavar="USER", help="whom it signs in (admin)")

    def handle(self, *args: Any, user: str, **options: Any) -> None:
        if not settings.DEVELOPMENT:
            raise CommandError("Sign-in links work in development only; sign in with a password instead.")
        model = get_user_model()
        found = model.objects.filter(**{model.USERNAME_FIELD: user}, is_active=True).first()
        if found is None:
            raise CommandError(f"There is no active user {user!r}.")
        self.stdout.write(signin.make_link(found))
