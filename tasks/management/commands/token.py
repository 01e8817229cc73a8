"""`manage.py token`: make an API token and print it, alone on the last line."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tasks import access
from tasks.access import Principal, Scopes
from tasks.database import database_now, transactional
from tasks.groups import group_for

MOST_DAYS = 36_500
NEEDED = {Scopes.SUBMIT: "submit_tasks", Scopes.OPERATE: "operate_tasks"}  # without it the scope lets nothing through


class Command(BaseCommand):
    help = "Make an API token. It is shown this once, alone on the last line."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="whose token it is")
        parser.add_argument(
            "--create", action="store_true", help="make the user, in the ready-made group that the scopes ask for"
        )
        parser.add_argument(
            "--scope", action="extend", nargs="+", choices=Scopes.values, metavar="S",
            help=f"what it is for, one or more of {', '.join(Scopes.values)} (submit and read)",
        )  # fmt: skip
        parser.add_argument("--expires", type=float, metavar="DAYS", help="when it ends (never)")

    def handle(self, *args: Any, user: str, create: bool, scope: list[str] | None, **options: Any) -> None:
        scopes = set(scope or [Scopes.SUBMIT, Scopes.READ])
        owner, raw = self._make(user, scopes, _expiry(options["expires"]), create)
        self._warn_of_what_is_missing(Principal(owner, frozenset(scopes)))
        self.stdout.write(raw)

    @transactional
    def _make(self, user: str, scopes: set[str], expires_at: dt.datetime | None, create: bool) -> tuple[Any, str]:
        owner = self._owner(user, scopes, create)
        return owner, access.make_token(owner, scopes, expires_at, name="manage.py token")[1]

    def _owner(self, name: str, scopes: set[str], create: bool) -> Any:
        model = get_user_model()
        if owner := model.objects.filter(username=name).first():
            return owner
        if not create:
            raise CommandError(f"There is no user {name!r}. Add --create to make one.")
        try:
            model._meta.get_field(model.USERNAME_FIELD).clean(name, None)  # type: ignore[union-attr]  # a username is a field
        except ValidationError as error:
            raise CommandError(f"{name!r} cannot be a username: {' '.join(error.messages)}") from None
        owner = model.objects.create_user(name)
        group = group_for(scopes)
        owner.groups.add(Group.objects.get_or_create(name=group)[0])
        self.stderr.write(f"Made the user {name}, in the group {group}.")
        return owner

    def _warn_of_what_is_missing(self, principal: Principal) -> None:
        if not principal.user.is_active:
            self.stderr.write(self.style.WARNING(f"{principal.name} is inactive: the token opens nothing."))
        for scope, permission in NEEDED.items():
            if principal.has(scope) and not principal.may(permission):
                warning = f"{principal.name} lacks tasks.{permission}: the scope {scope} is of little use."
                self.stderr.write(self.style.WARNING(warning))


def _expiry(days: float | None) -> dt.datetime | None:
    if days is None:
        return None
    if not 0 < days <= MOST_DAYS:
        raise CommandError(f"--expires must be a number of days above 0, and at most {MOST_DAYS}.")
    return database_now() + dt.timedelta(days=days)
