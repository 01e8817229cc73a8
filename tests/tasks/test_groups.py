"""The ready-made groups are there after a migration, and stay as an operator leaves them."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from tasks import groups

pytestmark = pytest.mark.django_db


def codenames(name):
    return set(Group.objects.get(name=name).permissions.values_list("codename", flat=True))


def test_they_are_there_and_each_sees_the_queues():
    assert set(Group.objects.values_list("name", flat=True)) >= {"viewer", "submitter", "operator", "admin"}
    assert codenames("viewer") == groups.VIEWER
    assert codenames("submitter") == {"submit_tasks", "view_queues"}
    assert codenames("operator") == codenames("viewer") | codenames("submitter") | {"operate_tasks", "operate_queues"}
    assert codenames("admin") > codenames("operator") | {"change_token"}


def test_what_an_operator_changed_is_kept():
    viewers = Group.objects.get(name="viewer")
    viewers.permissions.clear()
    Group.objects.get(name="operator").delete()
    groups.make_groups()
    assert codenames("viewer") == set()
    assert codenames("operator") == groups.OPERATOR


@pytest.mark.parametrize(
    ("scopes", "group"),
    [
        ({"read"}, "viewer"),
        ({"submit", "read"}, "submitter"),
        ({"operate", "read"}, "operator"),
        ({"submit", "admin"}, "admin"),
    ],
)
def test_scopes_ask_for_a_group(scopes, group):
    assert groups.group_for(scopes) == group
