"""The user `admin` follows the environment: what it gave ends when it gives something else or nothing."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tasks import access, groups
from tasks.models import Token

pytestmark = pytest.mark.django_db

ONE, OTHER = "one-token-of-the-environment", "another-token-of-the-environment"


@pytest.fixture
def environment(settings):
    def say(password="", token="", development=False):
        settings.TASKHUB_ADMIN_PASSWORD, settings.TASKHUB_ADMIN_TOKEN = password, token
        settings.DEVELOPMENT = development
        return access.bootstrap()

    return say


def test_in_production_there_is_none_unless_asked_for(environment):
    assert environment() is None
    assert not get_user_model().objects.exists()


def test_in_development_there_is_one_whom_only_a_link_lets_in(environment):
    admin = environment(development=True)
    assert (admin.username, admin.is_superuser, admin.is_staff) == ("admin", True, True)
    assert not admin.has_usable_password()
    assert environment(development=True) == admin


def test_the_password_is_followed(environment):
    assert environment(password="first").check_password("first")
    assert environment(password="first").check_password("first")
    changed = environment(password="second")
    assert changed.check_password("second")
    assert not changed.check_password("first")
    assert not environment().has_usable_password()


def test_a_password_that_somebody_chose_since_is_kept(environment):
    admin = environment(password="first")
    admin.set_password("chosen")
    admin.save()
    assert environment().check_password("chosen")


def test_the_token_is_followed(environment):
    admin = environment(token=ONE)
    principal = access.token_principal(ONE)
    assert principal.user == admin
    assert principal.may("operate_tasks")
    environment(token=OTHER)
    assert access.token_principal(ONE) is None
    assert access.token_principal(OTHER).user == admin
    environment()
    assert access.token_principal(OTHER) is None
    environment(token=ONE)
    assert access.token_principal(ONE).user == admin
    assert Token.objects.count() == 2


def test_the_token_is_stored_as_a_hash_and_four_characters(environment):
    environment(token=ONE)
    assert ONE[:5] not in str(Token.objects.values().get())


def test_other_tokens_of_the_user_stay(environment):
    admin = environment(token=ONE)
    _, own = access.make_token(admin, {"read"})
    environment()
    assert access.token_principal(own).user == admin


def test_somebody_called_admin_already_gets_the_rights(environment):
    get_user_model().objects.create_user("admin")
    assert environment(token=ONE).is_superuser


def test_a_migration_brings_groups_and_user(settings):
    settings.TASKHUB_ADMIN_TOKEN = ONE
    Group.objects.all().delete()
    groups.prepare(MigrationExecutor(connection).loader.project_state().apps)
    assert Group.objects.filter(name="viewer").exists()
    assert access.token_principal(ONE).name == "admin"


def test_a_migration_to_before_our_tables_brings_nothing():
    Group.objects.all().delete()
    groups.prepare(MigrationExecutor(connection).loader.project_state([("auth", "0001_initial")]).apps)
    assert not Group.objects.exists()
