"""The admin site as a whole: its sections and their order, its first page, and what is not there."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib.admin import site
from django.contrib.auth.models import Permission
from django.urls import reverse

from taskhub.admin import HubSite
from tasks.models import IdempotencyKey, Marker, OwnerCount, QueueCount, SigninLink, StreamTicket
from tests.factories import make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(client, django_user_model):
    client.force_login(django_user_model.objects.create_superuser("root"))
    return client


def test_it_is_our_site(root):
    assert isinstance(site._wrapped if hasattr(site, "_wrapped") else site, HubSite)
    html = root.get(reverse("admin:index")).content.decode()
    assert "TaskHub" in html
    assert '<a href="/">Dashboard</a>' in html


def test_sections_come_in_the_order_in_which_they_are_needed(root):
    sections = root.get(reverse("admin:index")).context["app_list"]
    assert [section["app_label"] for section in sections] == ["tasks", "auth"]
    names = [model["name"] for model in sections[0]["models"]]
    assert names == ["Dead letters", "Tasks", "Pipelines", "Queues", "Workers", "Events", "Tokens"]


def test_what_only_the_hub_needs_is_hidden():
    hidden = [
        IdempotencyKey,
        Marker,
        OwnerCount,
        QueueCount,
        SigninLink,
        StreamTicket,
        *apps.get_app_config("django_q").get_models(),
    ]
    assert not [model for model in hidden if site.is_registered(model)]


def test_users_and_groups_are_there_as_usual(root):
    assert root.get(reverse("admin:auth_user_changelist")).status_code == 200
    assert root.get(reverse("admin:auth_group_changelist")).status_code == 200


def test_the_first_page_tells_what_is_wrong(root):
    make_task("dead_lettered")
    make_task("pending")
    page = root.get(reverse("admin:index"))
    assert dict(page.context["tallies"])["dead_lettered"] == 1
    assert reverse("admin:tasks_deadletter_group", args=["f" * 16]) in page.content.decode()


def test_the_first_page_tells_nothing_that_its_reader_may_not_see(client, django_user_model, bob):
    make_task("dead_lettered", owner=bob)
    user = django_user_model.objects.create_user("new", is_staff=True)
    client.force_login(user)
    page = client.get(reverse("admin:index"))
    assert "tallies" not in page.context
    assert "f" * 16 not in page.content.decode()
    user.user_permissions.add(Permission.objects.get(content_type__app_label="tasks", codename="view_task"))
    page = client.get(reverse("admin:index"))
    assert (page.context["tallies"], page.context["groups"]) == ([], [])


def test_the_first_page_costs_little(root, django_assert_max_num_queries):
    for status in ("pending", "dead_lettered", "failed"):
        make_task(status)
    with django_assert_max_num_queries(16):
        root.get(reverse("admin:index"))


def test_strangers_meet_the_hubs_own_door(client):
    html = client.get(reverse("admin:login")).content.decode()
    assert 'aria-label="Sign in"' in html


def test_every_page_of_the_admin_refuses_strangers(client):
    """By the list of its addresses, so that a new one is tried too."""
    patterns = [pattern for pattern in site.get_urls() if hasattr(pattern, "url_patterns")]
    tried = 0
    for section in patterns:
        for pattern in section.url_patterns:
            if not pattern.name:
                continue
            arguments = dict.fromkeys(pattern.pattern.converters, "x")
            answer = client.get(reverse(f"admin:{pattern.name}", kwargs=arguments))
            assert answer.status_code == 302, pattern
            assert answer.url.startswith(reverse("admin:login")), pattern
            tried += 1
    assert tried > 30
