"""Sign-in links: made in development, good once, not for long."""

from __future__ import annotations

import datetime as dt

import pytest
from django.core.management import CommandError, call_command
from django.http import HttpResponse
from django.urls import path

from tasks import signin
from tasks.models import SigninLink

urlpatterns = [path("signin/<str:key>", lambda request, key: HttpResponse(), name="signin")]
pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


def key_of(link: str) -> str:
    return link.rpartition("/")[2]


def test_a_link_signs_its_user_in_once(alice, settings):
    link = signin.make_link(alice)
    assert link.startswith(settings.TASKHUB_BASE_URL)
    assert signin.redeem(key_of(link)) == alice
    assert signin.redeem(key_of(link)) is None


def test_what_is_stored_does_not_sign_in(alice):
    key = key_of(signin.make_link(alice))
    stored = SigninLink.objects.get()
    assert key not in (stored.digest, str(stored.pk))
    assert len(key) >= 256 / 6
    assert signin.redeem(stored.digest) is None


@pytest.mark.parametrize("key", ["", "x", "\0", "\ud800", "ä" * 5000])
def test_an_unknown_key_signs_nobody_in(key, alice):
    signin.make_link(alice)
    assert signin.redeem(key) is None


def test_a_link_expires_and_the_next_one_clears_it_away(alice):
    key = key_of(signin.make_link(alice))
    link = SigninLink.objects.get()
    SigninLink.objects.update(expires_at=link.expires_at - signin.LIFE - dt.timedelta(seconds=1))
    assert signin.redeem(key) is None
    signin.make_link(alice)
    assert SigninLink.objects.count() == 1


def test_an_inactive_user_is_not_signed_in(alice):
    key = key_of(signin.make_link(alice))
    alice.is_active = False
    alice.save()
    assert signin.redeem(key) is None


def test_nothing_of_it_works_in_production(alice, settings):
    key = key_of(signin.make_link(alice))
    settings.DEVELOPMENT = False
    assert signin.redeem(key) is None
    with pytest.raises(RuntimeError):
        signin.make_link(alice)
    with pytest.raises(CommandError, match="development only"):
        call_command("signin-link", "alice")


def test_the_command_prints_a_link_alone_on_its_line(alice, capsys):
    call_command("signin-link", "alice")
    (line,) = capsys.readouterr().out.splitlines()
    assert signin.redeem(key_of(line)) == alice


def test_the_command_names_a_user_that_is_not_there():
    with pytest.raises(CommandError, match="no active user 'nobody'"):
        call_command("signin-link", "nobody")
