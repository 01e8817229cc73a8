"""manage.py signin-link: another way in, in development only."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from tasks import signin

pytestmark = pytest.mark.django_db


def link(capsys, *arguments: str) -> str:
    call_command("signin-link", *arguments)
    return capsys.readouterr().out.strip()


def test_the_link_signs_its_user_in(capsys, alice):
    raw = link(capsys, "alice").rpartition("/")[2]
    assert signin.redeem(raw) == alice


def test_without_a_name_it_is_the_admin(capsys, admin_user):
    assert signin.redeem(link(capsys).rpartition("/")[2]) == admin_user


def test_nobody_and_who_is_inactive_get_none(alice):
    alice.is_active = False
    alice.save()
    for name in ("alice", "nobody"):
        with pytest.raises(CommandError, match=f"There is no active user '{name}'"):
            call_command("signin-link", name)


def test_in_production_there_is_none(settings, alice):
    settings.DEVELOPMENT = False
    with pytest.raises(CommandError, match="in development only"):
        call_command("signin-link", "alice")
